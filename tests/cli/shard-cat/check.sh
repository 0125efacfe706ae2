# Whole inputs pass; each damaged one is named, the rest is checked all the same, and the exit code is 1.
cp "$GRISTMILL_TESTDATA"/shard/documents-v1.jsonl.zst good.zst
head -c -1 good.zst >cut.zst
{ head -c 200 good.zst; printf X; tail -c +202 good.zst; } >flipped.zst
printf '{"a":1}\n{"a":\n' >foreign.jsonl
shard-cat --check good.zst - <good.zst
code=0
shard-cat --check cut.zst good.zst flipped.zst foreign.jsonl absent.zst 2>errors || code=$?
echo "exit code $code"
cat errors
