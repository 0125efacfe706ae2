# Documents to a token shard and back; equal bytes for any number of threads, through a pipe as from a file.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o a.tok.zst --stats stats.json
tokenize -q -j 3 --tokenizer "$small" <"$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" >b.tok.zst
cmp a.tok.zst b.tok.zst
tokenize -q --tokenizer "$small" --decode a.tok.zst -o back.jsonl
python3 - "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" <<'PYTHON'
import json, sys
texts = lambda name: [json.loads(line)["text"] for line in open(name, encoding="utf-8")]
assert texts(sys.argv[1]) == texts("back.jsonl")
stats = json.load(open("stats.json"))
assert stats["records_in"] == stats["records_out"] == 60 and stats["dropped"] == {}, stats
PYTHON
# A document with a literal special token: one end-of-text id a document all the same.
echo '{"id":"1","text":"a <|endoftext|> b"}' | tokenize -q --tokenizer "$small" | tokenize -q --tokenizer "$small" --decode --text
