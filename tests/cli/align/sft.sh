# Fine-tuning on made-up conversations: the loss falls, the bytes do not depend on threads, all records are accounted for.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --run-dir base --tokenizer "$small" --layers 1 --dim 32 --heads 2 --context 160 --batch-tokens 256 --tokens 1024 t.tok.zst
"$GRISTMILL_SOURCE/scripts/gold-task" conversations 48 >chats.jsonl
cat >>chats.jsonl <<'RECORDS'
{"instruction":"Say hello.","output":"Hello."}
{"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello."}]}
{"messages":[{"role":"user","content":"No answer here."}]}
{"broken
RECORDS
options="--model base --data chats.jsonl --val chats.jsonl --epochs 2 --batch-size 16 --micro-batch-tokens 512 --lr 5e-3"
sft -q -j1 $options --run-dir one --stats stats.json
sft -q -j2 $options --run-dir two
last=$(ls one/checkpoints | tail -n 1)
for file in model.safetensors optimizer.safetensors trainer.json tokenizer.json; do cmp "one/checkpoints/$last/$file" "two/checkpoints/$last/$file"; done
cmp "base/checkpoints/$(ls base/checkpoints | tail -n 1)/tokenizer.json" "one/checkpoints/$last/tokenizer.json"
[ -s one/report.html ]
python3 - <<'PYTHON'
import json
stats = json.load(open("stats.json"))
assert stats["records_in"] == 52 and stats["records_in"] == stats["records_out"] + sum(stats["dropped"].values()), stats
assert stats["dropped"]["bad_record"] == 1 and stats["dropped"]["no_response"] == 1, stats
rows = [json.loads(line) for line in open("one/metrics.jsonl")]
assert rows[-1]["loss"] < rows[0]["loss"] - 0.3, (rows[0]["loss"], rows[-1]["loss"])
assert rows[-1]["val_loss"] > 0
PYTHON
# The tuned model answers in its template.
generate -q --model one --prompt "What do you think of the new lamp?" --max-tokens 8 --temperature 0 >a.txt
[ -s a.txt ]
