# A WARC file with chunked, compressed, lying, Latin-1 and unwanted responses becomes a document shard.
crawl-extract -q "$GRISTMILL_TESTDATA/web/mill.warc.gz" --stats stats.json --rejects rejects.jsonl -o pages.jsonl.zst
shard-cat pages.jsonl.zst
grep -E '"(records_in|records_out|record_type|status|content_type)"' stats.json
grep -o '"dropped":"[a-z_]*"' rejects.jsonl | sort | uniq -c | tr -s ' '
