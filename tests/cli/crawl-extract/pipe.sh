# The same bytes through pipes, from standard input, and for any number of threads; parts of an array are the whole.
warc="$GRISTMILL_TESTDATA/web/mill.warc.gz"
crawl-extract -q -j1 "$warc" -o one.jsonl.zst
crawl-extract -q -j3 <"$warc" >piped.jsonl.zst
cmp one.jsonl.zst piped.jsonl.zst
crawl-extract -q "$warc" | shard-cat --check >/dev/null
crawl-extract -q --shard 0/2 "$warc" "$warc" -o part0.jsonl
crawl-extract -q --shard 1/2 "$warc" "$warc" -o part1.jsonl
crawl-extract -q "$warc" "$warc" -o both.jsonl
cat part0.jsonl part1.jsonl | cmp - both.jsonl
crawl-extract -q --lang de "$warc" -o de.jsonl
grep -c '"lang":"de"' de.jsonl
crawl-extract -q --respect-optout "$warc" -o wanted.jsonl
grep -c . wanted.jsonl
