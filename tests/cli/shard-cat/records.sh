# Records of shards, token shards and foreign files, from files, a pipe and a list.
shards=$GRISTMILL_TESTDATA/shard
printf '{"id":"c","text":"plain"}\n' >plain.jsonl
gzip -k plain.jsonl
shard-cat "$shards/documents-v1.jsonl.zst" plain.jsonl plain.jsonl.gz "$shards/tokens-v1.tok.zst"
echo "--- from a pipe, two shards behind each other"
cat "$shards/documents-v1.jsonl.zst" "$shards/documents-v1.jsonl.zst" | shard-cat | wc -l
echo "--- the first two"
shard-cat -n 2 - <"$shards/tokens-v1.tok.zst"
echo "--- to a file"
shard-cat -n 1 "$shards/documents-v1.jsonl.zst" -o out.jsonl
cat out.jsonl
echo "--- nothing"
shard-cat </dev/null
