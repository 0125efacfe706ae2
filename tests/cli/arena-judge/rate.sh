# Ratings of a handful of votes; a disconnected graph is refused with its groups.
cat >votes.jsonl <<'END'
{"id":"1","model_a":"x","model_b":"y","winner":"model_a"}
{"id":"2","model_a":"x","model_b":"y","winner":"model_a"}
{"id":"3","model_a":"y","model_b":"x","winner":"model_a"}
{"id":"4","model_a":"y","model_b":"z","winner":"tie"}
{"id":"5","model_a":"z","model_b":"x","winner":"model_b"}
END
arena-judge rate -q votes.jsonl --bootstrap 0 | python3 -c '
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    assert row["lower"] is None and row["upper"] is None
    print(row["model"], round(row["rating"], 3), row["battles"])'
arena-judge rate votes.jsonl -j 1 >one 2>err
arena-judge rate -q votes.jsonl -j 2 >two 2>>err
cmp one two
grep -q "had no finite ratings" err
arena-judge rate -q votes.jsonl --bootstrap 0 --anchor-rating 1500 | python3 -c '
import json, sys
ratings = [json.loads(line)["rating"] for line in sys.stdin]
assert abs(sum(ratings) / len(ratings) - 1500) < 1e-6, ratings'
code=0; arena-judge winrate votes.jsonl --strength 2 2>err || code=$?
[ "$code" -eq 2 ]
grep -q -- "--length-controlled" err
printf '%s\n' '{"model_a":"x","model_b":"y","winner":"tie"}' '{"model_a":"v","model_b":"w","winner":"tie"}' >apart.jsonl
code=0; arena-judge rate apart.jsonl 2>err || code=$?
[ "$code" -eq 1 ]
grep -q "{v, w} {x, y}" err
arena-judge rate -q apart.jsonl --prior 1 --bootstrap 0 | wc -l
code=0; arena-judge rate /dev/null 2>err || code=$?
[ "$code" -eq 1 ]
grep -q "no verdicts" err
