# Ids as lines of text: of documents, of plain files, and back again; a model directory serves as tokenizer.
mkdir model && cp "$GRISTMILL_TESTDATA/tokenizer/small.json" model/tokenizer.json
printf '{"text":"The miller grinds the corn."}\n{"text":""}\nno record\n{"text":"<|im_end|>"}\n' >in.jsonl
tokenize -q --tokenizer model --ids in.jsonl
printf 'The miller grinds\r\n\xff' >plain.txt
tokenize -q --tokenizer model --text --ids plain.txt plain.txt
tokenize -q --tokenizer model --text --ids plain.txt | tokenize -q --tokenizer model --decode --ids --text | cmp - plain.txt
echo '273 394 2' | tokenize -q --tokenizer model --decode --ids -o back.jsonl
cat back.jsonl
GRISTMILL_FAKE_TTY=stdout tokenize -q --tokenizer model --ids in.jsonl >/dev/null
