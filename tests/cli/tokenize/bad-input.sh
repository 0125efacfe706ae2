# What is wrong is said in one line with the right exit code, and leaves no output.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
expect 2 "--tokenizer" tokenize "$prose"
expect 1 "nowhere.json" tokenize --tokenizer nowhere.json "$prose" -o x.tok.zst
expect 1 "in.txt" tokenize --tokenizer "$small" --text in.txt -o x.tok.zst
echo '{"model":{"type":"WordPiece"}}' >other.json
expect 1 "other.json: model.type is not BPE" tokenize --tokenizer other.json "$prose" -o x.tok.zst
head -c 5000 "$small" >cut.json
expect 1 "cut.json" tokenize --tokenizer cut.json "$prose" -o x.tok.zst
expect 1 "/dev/full" tokenize -q --tokenizer "$small" "$prose" -o /dev/full
expect 1 "/dev/full" tokenize -q --tokenizer "$small" --ids "$prose" -o /dev/full
expect 2 "terminal" env GRISTMILL_FAKE_TTY=stdout tokenize -q --tokenizer "$small" "$prose"
tokenize -q --tokenizer "$small" "$prose" -o whole.tok.zst
head -c $(($(wc -c <whole.tok.zst) / 2)) whole.tok.zst >cut.tok.zst
expect 1 "cut.tok.zst" tokenize -q --tokenizer "$small" --decode cut.tok.zst -o x.jsonl
tokenize-train -q --vocab-size 300 "$prose" -o other.json
expect 1 "tokenizer" tokenize -q --tokenizer other.json --decode whole.tok.zst -o x.jsonl
[ ! -e x.tok.zst ]
[ ! -e x.jsonl ]
