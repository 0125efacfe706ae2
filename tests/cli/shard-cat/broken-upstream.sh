# A stage that dies leaves no trailer, and the one behind it fails.
shard=$GRISTMILL_TESTDATA/shard/documents-v1.jsonl.zst
code=0
head -c 300 "$shard" | shard-cat >records 2>errors || code=$?
echo "exit code $code"
cat errors
echo "--- a full disk"
code=0
shard-cat "$shard" >/dev/full 2>errors || code=$?
echo "exit code $code"
cat errors
echo "--- options that exclude each other"
code=0
shard-cat --header --check "$shard" 2>errors || code=$?
echo "exit code $code"
cat errors
