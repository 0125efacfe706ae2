# A wrong model, run directory or export is refused before a data file is opened.
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 96 8 4
reward-train -q --model base --data pairs.jsonl --run-dir reward --batch-size 8
tokenize-train -q --vocab-size 300 "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o tiny.json
tokenize -q --tokenizer tiny.json "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o tiny.tok.zst
pretrain -q --run-dir foreign --tokenizer tiny.json --layers 1 --dim 16 --heads 2 --context 96 --batch-tokens 256 --tokens 512 tiny.tok.zst
exchanged() {  # NAME TOKENIZER: a copy of the base model with another tokenizer.json
  cp -r "base/checkpoints/$(ls -v base/checkpoints | tail -n 1)" "$1"
  cp "$2" "$1/tokenizer.json"
}
exchanged swapped tiny.json
tokenize-train -q --vocab-size 2000 "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o large.json
exchanged overfull large.json
python3 - <<'PYTHON'
import json
config = json.load(open("overfull/config.json"))
del config["gristmill_tokenizer"]  # as in models from elsewhere
json.dump(config, open("overfull/config.json", "w"))
PYTHON

refused() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" -q --run-dir r 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt && [ ! -e r ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
none="--data nowhere.jsonl"
for tool in sft dpo reward-train "ppo --reward-model reward"; do
  refused 1 "no model here" $tool --model nowhere $none
  refused 1 "not the tokenizer that swapped was trained with" $tool --model swapped $none
  refused 1 "does not fit overfull" $tool --model overfull $none
  refused 2 "--lr must be above 0" $tool --model base $none --lr 0
  refused 2 "lies in the run directory" $tool --model base $none --export r/model
  refused 2 "of no use without --export" $tool --model base $none --save-dtype bf16
done
for tool in sft dpo "ppo --reward-model reward"; do
  refused 1 "holds a reward model, not a language model" $tool --model reward $none
done
refused 1 "holds a language model, not a reward model" ppo --reward-model base --model base $none
refused 1 "no model here" ppo --reward-model nowhere --model base $none
refused 1 "the reward model has another tokenizer than" ppo --reward-model reward --model foreign $none
refused 2 "leaves no room" ppo --reward-model reward --model base $none --max-response-tokens 96
refused 1 "holds a reward model" dpo --model base --reference reward $none
refused 1 "the reference has another tokenizer than base" dpo --model base --reference foreign $none
# A reward model may be trained on.
reward-train -q --model reward --data pairs.jsonl --run-dir further --batch-size 8
# A folder with a run in it is no new run's.
code=0
sft -q --model base $none --run-dir reward 2>err.txt || code=$?
[ $code -eq 2 ] && grep -q "reward: holds a run already" err.txt || { cat err.txt; exit 1; }
# Pairs must fit the reference too: those that do not are left out and counted.
pretrain -q --run-dir narrow --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 256 --tokens 512 t.tok.zst
refused 1 "no usable record (8 too_long)" dpo --model base --reference narrow --data pairs.jsonl
