# Each tuning tool says what it will hold before it starts, refuses what will not fit before it makes a run directory, and
# states its share of the machine's peak.
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 160 12 10
reward-train --model base --data pairs.jsonl --run-dir reward --batch-size 8 2>reward.txt
sft --model base --data chats.jsonl --run-dir sft --batch-size 8 2>sft.txt
dpo --model base --reference sft --data pairs.jsonl --run-dir dpo --batch-size 8 2>dpo.txt
ppo="--model base --reward-model reward --data prompts.jsonl --iterations 2 --rollout-batch 4 --max-response-tokens 8"
ppo $ppo --run-dir ppo 2>ppo.txt
for tool in reward sft dpo; do
  for part in parameters gradients "optimizer state" "activations of one micro-batch" sum; do grep -q "memory: $part: " $tool.txt || { echo "$tool: $part"; exit 1; }; done
done
grep -q "memory: head: " sft.txt
grep -q "memory: reference: parameters: " dpo.txt
for part in "policy: optimizer state" "critic: optimizer state" "reference: parameters" "reward model: parameters" "policy: cached keys and values"; do
  grep -q "memory: $part: " ppo.txt || { echo "ppo: $part"; exit 1; }
done
refused() {  # COMMAND...
  local code=0
  "$@" -q --run-dir r --memory-limit 100k 2>err.txt || code=$?
  [ $code -eq 1 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "are available; lower --micro-batch-tokens" err.txt && [ ! -e r ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
refused reward-train --model base --data pairs.jsonl
refused sft --model base --data chats.jsonl
refused dpo --model base --data pairs.jsonl
refused ppo $ppo
python3 - <<'PYTHON'
import json
for run in ("reward", "sft", "dpo", "ppo"):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    assert rows and all(0 < row["mfu"] < 1 for row in rows), run
PYTHON
