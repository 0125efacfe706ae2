# Preferences → reward model → PPO and DPO: bytes do not depend on threads, the first figures are what they must be.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
gold=$GRISTMILL_SOURCE/scripts/gold-task
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --run-dir base --tokenizer "$small" --layers 1 --dim 32 --heads 2 --context 160 --batch-tokens 256 --tokens 512 t.tok.zst
"$gold" conversations 32 >chats.jsonl
sft -q --model base --data chats.jsonl --run-dir sft --batch-size 16 --lr 5e-3
"$gold" prompts 16 >prompts.jsonl
python3 - <<'PYTHON'
import json
with open("pairs.jsonl", "w") as out:
    for i, line in enumerate(open("chats.jsonl")):
        question, answer = json.loads(line)["messages"]
        bad = {"role": "assistant", "content": "No."}
        out.write(json.dumps({"id": str(i), "prompt": [question], "chosen": [answer], "rejected": [bad]}) + "\n")
PYTHON
for j in 1 2; do
  reward-train -q -j$j --model sft --data pairs.jsonl --val pairs.jsonl --run-dir reward-$j --batch-size 8 --epochs 2
  dpo -q -j$j --model sft --data pairs.jsonl --val pairs.jsonl --run-dir dpo-$j --batch-size 8
  ppo -q -j$j --model sft --reward-model reward-$j --data prompts.jsonl --run-dir ppo-$j --iterations 2 --rollout-batch 8 --epochs 2 --max-response-tokens 12
done
for run in reward dpo ppo; do
  last=$(ls -v $run-1/checkpoints | tail -n 1)
  cmp "$run-1/checkpoints/$last/model.safetensors" "$run-2/checkpoints/$last/model.safetensors"
done
python3 - <<'PYTHON'
import json, math
read = lambda run: [json.loads(line) for line in open(run + "-1/metrics.jsonl")]
reward, dpo, ppo = read("reward"), read("dpo"), read("ppo")
assert reward[-1]["val_accuracy"] > 0.9, reward[-1]
assert abs(dpo[0]["loss"] - math.log(2)) < 1e-6 and dpo[-1]["loss"] < dpo[0]["loss"], dpo
assert [row["val/max_ratio_deviation"] == 0 for row in ppo] == [True, False, True, False], ppo
assert abs(ppo[0]["objective/kl"]) < 1e-3
PYTHON
