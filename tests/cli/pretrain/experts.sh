# A mixture of experts: what is saved has Mixtral's names, the loss falls, a stopped run goes on to the same bytes on
# other threads, and what makes no sense is refused before a run directory is made.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
shape="--layers 2 --dim 32 --heads 2 --hidden-dim 48 --context 32 --experts 4"
refused() {  # WORDS OPTIONS...
  local words=$1 code=0
  shift
  pretrain -q --run-dir refused "$@" t.tok.zst 2>err.txt || code=$?
  [ $code -eq 2 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt && [ ! -e refused ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
refused "--experts-per-token must be at least 2" $shape --experts-per-token 1
refused "experts_per_token = 5 is not between" $shape --experts-per-token 5
refused "only as in Mixtral" $shape --qk-norm
refused "--experts-per-token is of no use" --layers 1 --dim 16 --heads 2 --experts-per-token 2
refused "--aux-loss-weight is of no use" --layers 1 --dim 16 --heads 2 --aux-loss-weight 0.1
refused "--aux-loss-weight must not be below 0" $shape --aux-loss-weight -2
refused "--router-z-loss is of no use" --layers 1 --dim 16 --heads 2 --context 32 --router-z-loss 0.1

options="$shape --batch-tokens 256 --micro-batch-tokens 64 --tokens 10240 --lr 3e-3 --router-z-loss 1e-3 --val t.tok.zst --validate-every 0"
pretrain -j1 --run-dir whole $options t.tok.zst 2>err.txt
grep -q "active a token" err.txt
# Stopped half way, and on with two threads.
pretrain -q -j1 --run-dir parts $options --checkpoint-every 20 t.tok.zst
rm -r parts/checkpoints/step-40
pretrain -q -j2 --run-dir parts $options --checkpoint-every 20 --resume t.tok.zst
for file in model.safetensors optimizer.safetensors config.json; do
  cmp whole/checkpoints/step-40/$file parts/checkpoints/step-40/$file
done
python3 - <<'PYTHON'
import json, struct
def lines(run):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    for row in rows:
        for key in ("tokens_per_s", "memory", "mfu"):
            row.pop(key)
    return rows
rows = lines("whole")
assert rows == lines("parts") and len(rows) == 40
assert rows[-1]["loss"] < rows[0]["loss"] - 1 and rows[-1]["val_loss"] < rows[0]["loss"] - 1, (rows[0], rows[-1])
for row in rows:
    assert 1.9 < row["aux_loss"] < 4 and row["router_z_loss"] > 0, row
    assert 0 <= row["expert_load/min"] <= 1 <= row["expert_load/max"] <= 2, row
config = json.load(open("whole/checkpoints/step-40/config.json"))
assert config["architectures"] == ["MixtralForCausalLM"] and config["model_type"] == "mixtral"
assert config["num_local_experts"] == 4 and config["num_experts_per_tok"] == 2 and config["router_aux_loss_coef"] == 0.01
data = open("whole/checkpoints/step-40/model.safetensors", "rb").read()
header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
assert header["model.layers.1.block_sparse_moe.experts.3.w2.weight"]["shape"] == [32, 48]
assert header["model.layers.0.block_sparse_moe.gate.weight"]["shape"] == [4, 32]
PYTHON
# Training goes on from it with another weight, which is saved; text is generated from it.
pretrain -q --run-dir more --init whole --batch-tokens 256 --tokens 512 --aux-loss-weight 0.05 --optimizer muon --dtype bf16 t.tok.zst
grep -q '"router_aux_loss_coef": 0.05' more/checkpoints/step-2/config.json
generate -q --model whole --prompt-ids 1,2,3 --output-ids --max-tokens 5 --temperature 0 >g1.txt
generate -q -j1 --model whole --prompt-ids 1,2,3 --output-ids --max-tokens 5 --temperature 0 >g2.txt
cmp g1.txt g2.txt

# The loss that spreads tokens over experts does.
busiest() {  # WEIGHT: tokens of the busiest expert over an even share, mean over all but the first steps
  pretrain -q --run-dir "balance-$1" --layers 1 --dim 32 --heads 2 --context 32 --experts 8 --experts-per-token 2 --hidden-dim 32 \
    --batch-tokens 256 --tokens 15360 --lr 1e-2 --aux-loss-weight "$1" t.tok.zst
  python3 -c 'import json, sys
loads = [json.loads(line)["expert_load/max"] for line in open(sys.argv[1])][10:]
print(sum(loads) / len(loads))' "balance-$1/metrics.jsonl"
}
with=$(busiest 0.1) without=$(busiest 0)
awk -v a="$with" -v b="$without" 'BEGIN { exit !(a < 0.75 * b) }' || { echo "busiest expert: $with with the loss, $without without"; exit 1; }
