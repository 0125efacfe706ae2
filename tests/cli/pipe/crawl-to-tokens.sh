# The data stages as one pipe: equal bytes for any number of threads, and no output when any part fails.
"$GRISTMILL_TESTDATA/make-site" site
tokenizer=$GRISTMILL_TESTDATA/tokenizer/small.json
chain() {  # THREADS OUT
  crawl-extract -q -j$1 --html site/trades site/stories | filter -q -j$1 --recipe fineweb | dedup -q -j$1 |
    tokenize -q -j$1 --tokenizer "$tokenizer" -o "$2"
}
chain 1 one.tok.zst
chain 2 two.tok.zst
chain 3 three.tok.zst
cmp one.tok.zst two.tok.zst
cmp one.tok.zst three.tok.zst
[ "$(shard-cat one.tok.zst | wc -l)" -gt 80 ]
# The same stages one by one give the same documents.
crawl-extract -q --html site/trades site/stories -o a.jsonl.zst
filter -q --recipe fineweb a.jsonl.zst -o b.jsonl.zst
dedup -q b.jsonl.zst -o c.jsonl.zst
tokenize -q --tokenizer "$tokenizer" c.jsonl.zst -o d.tok.zst
cmp <(shard-cat one.tok.zst) <(shard-cat d.tok.zst)

fails() {  # the pipe's exit code is not 0 and it leaves nothing
  local code=0
  "$@" 2>err.txt || code=$?
  [ $code -ne 0 ] && [ ! -e out.tok.zst ] || { echo "not refused: $*"; cat err.txt; exit 1; }
}
first() { crawl-extract -q --html nowhere | filter -q | dedup -q | tokenize -q --tokenizer "$tokenizer" -o out.tok.zst; }
middle() { filter -q --set no.rule=1 a.jsonl.zst | dedup -q | tokenize -q --tokenizer "$tokenizer" -o out.tok.zst; }
last() { filter -q --recipe fineweb a.jsonl.zst | dedup -q | tokenize -q --tokenizer nowhere.json -o out.tok.zst; }
cut_off() { head -c 20000 a.jsonl.zst | filter -q | dedup -q | tokenize -q --tokenizer "$tokenizer" -o out.tok.zst; }
for part in first middle last cut_off; do fails $part; done
