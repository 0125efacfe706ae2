# Answers of two models, judged by a reward model and by a language model, counted as win rates.
tiny="$GRISTMILL_SOURCE/tests/support/tiny-model"
"$tiny" m && "$tiny" reward --scalar --seed 5
for i in 1 2 3 4 5 6; do echo "{\"id\":$i,\"prompt\":\"grind $i\"}"; done >prompts.jsonl
generate -q --model m --max-tokens 10 --template chatml prompts.jsonl -o a.jsonl
generate -q --model m --max-tokens 10 --template chatml --seed 7 prompts.jsonl -o b.jsonl
arena-judge judge -q --reward-model reward --name-a new --name-b old a.jsonl b.jsonl -o verdicts.jsonl --report report.json
arena-judge judge -q --reward-model reward --name-a old --name-b new b.jsonl a.jsonl -o mirrored.jsonl
arena-judge judge -q --model m --name-a new --name-b old a.jsonl b.jsonl --report lm.json >lm.jsonl
arena-judge winrate -q --baseline old --length-controlled verdicts.jsonl >rates.jsonl
python3 - <<'END'
import json
load = lambda name: [json.loads(line) for line in open(name)]
verdicts, mirrored = load("verdicts.jsonl"), load("mirrored.jsonl")
assert len(verdicts) == 6
for v, w in zip(verdicts, mirrored):
    assert v["id"] == w["id"] and abs(v["preference"] + w["preference"] - 1) < 1e-6 and v["length_a"] == w["length_b"]
[rate] = load("rates.jsonl")
assert list(rate)[:6] == ["model", "n", "win_rate", "standard_error", "length_controlled", "avg_length"]
assert rate["model"] == "new" and rate["n"] == 6
assert abs(rate["win_rate"] - 100 * sum(v["preference"] for v in verdicts) / 6) < 1e-9
assert rate["lower"] < rate["win_rate"] < rate["upper"]
report, lm = json.load(open("report.json")), json.load(open("lm.json"))
assert report["pairs"] == 6 and report["flip_rate"] is None and 0 <= lm["flip_rate"] <= 1
END
code=0; arena-judge judge a.jsonl b.jsonl 2>err || code=$?
[ "$code" -eq 2 ]
grep -q "name one judge" err
code=0; arena-judge judge --reward-model m a.jsonl b.jsonl 2>err || code=$?
[ "$code" -eq 1 ]
grep -q "not a reward model" err
echo done
