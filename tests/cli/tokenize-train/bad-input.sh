# What is wrong is said in one line with the right exit code; a tokenizer that is there already stays as it is.
prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" -o t.json >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
  [ "$(cat t.json)" = old ] || { echo "the old tokenizer is gone: $*"; exit 1; }
}
echo old >t.json
: >empty.jsonl
expect 1 "no document to learn from (0 records" tokenize-train -q --vocab-size 300 empty.jsonl
printf '{"id":"1"}\n[\n\0\0\n' >none.jsonl
expect 1 "no document to learn from (3 records" tokenize-train -q --vocab-size 300 none.jsonl
gzip -c "$prose" | head -c -20 >cut.jsonl.gz
expect 1 "cut.jsonl.gz: the gzip data is cut off" tokenize-train -q --vocab-size 300 cut.jsonl.gz
expect 1 "nowhere.jsonl" tokenize-train -q nowhere.jsonl
expect 2 "--vocab-size" tokenize-train -q --vocab-size 7 "$prose"
expect 2 "empty file name" tokenize-train -q "$prose" ""
expect 2 "min-freq" tokenize-train -q --config <(echo 'min-freq = 3') "$prose"
code=0
tokenize-train -q --vocab-size 300 "$prose" -o /dev/full 2>err.txt || code=$?
[ $code -eq 1 ]
grep -q /dev/full err.txt
