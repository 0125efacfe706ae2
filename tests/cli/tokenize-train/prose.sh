# The committed tokenizer comes out again, for any number of threads, from a file and from a pipe.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
tokenize-train -q --vocab-size 512 "$prose" -o a.json --stats stats.json
cmp a.json "$small"
tokenize-train -q --vocab-size 512 -j 3 <"$prose" | cmp - "$small"
grep -q '"records_in": *60' stats.json
