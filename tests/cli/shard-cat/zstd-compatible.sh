# A shard is an ordinary zstd file.
command -v zstd >/dev/null || { echo "[skipped] no zstd command"; exit 0; }
shard=$GRISTMILL_TESTDATA/shard/documents-v1.jsonl.zst
zstd -dcq "$shard" >by-zstd
shard-cat "$shard" >by-us
cmp by-zstd by-us
zstd -tq "$shard"
# and what zstd packs is read, with or without its own frames
zstd -q by-us -o packed.zst
shard-cat packed.zst | cmp - by-us
