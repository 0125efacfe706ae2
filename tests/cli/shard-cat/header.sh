# Header and trailer as one line of JSON a shard.
cd "$GRISTMILL_TESTDATA/shard"
shard-cat --header documents-v1.jsonl.zst tokens-v1.tok.zst
