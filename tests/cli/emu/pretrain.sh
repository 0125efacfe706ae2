# Training on a GPU, emulated unless GRISTMILL_PARITY_DEVICE names another: the losses of the CPU, for both families, experts, Muon and recomputation.
gpu=${GRISTMILL_PARITY_DEVICE:-emu} close=$GRISTMILL_SOURCE/tests/cli/emu/close
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
cat >gpt2.json <<'CONFIG'
{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 512, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32,
 "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "tie_word_embeddings": true}
CONFIG
shape="--layers 2 --dim 32 --heads 4 --kv-heads 2 --context 32"
steps="--batch-tokens 128 --micro-batch-tokens 64 --tokens 1280 --lr 3e-3"
both() {  # NAME OPTION…
  local name=$1
  shift
  for device in cpu $gpu; do pretrain -q -j2 --device $device --run-dir "$name-$device" $steps "$@" t.tok.zst; done
  "$close" "$name-cpu" "$name-$gpu"
}
both bf16 --dtype bf16 $shape --qk-norm
both fp32 --dtype fp32 $shape --optimizer muon
both bf16-weights --dtype bf16 --weights bf16 $shape
both gpt2 --dtype bf16 --model-config gpt2.json --recompute block
both experts --dtype bf16 $shape --experts 4 --hidden-dim 48 --aux-loss-weight 0.01 --router-z-loss 1e-3
# The same bytes in every run, and resumed.
pretrain -q -j1 --device $gpu --run-dir again --dtype bf16 $shape --qk-norm $steps --checkpoint-every 4 t.tok.zst
for file in model.safetensors optimizer.safetensors; do cmp bf16-$gpu/checkpoints/step-10/$file again/checkpoints/step-10/$file; done
rm -r again/checkpoints/step-10
pretrain -q -j1 --device $gpu --run-dir again --dtype bf16 $shape --qk-norm $steps --checkpoint-every 4 --resume t.tok.zst
cmp bf16-$gpu/checkpoints/step-10/model.safetensors again/checkpoints/step-10/model.safetensors
# Two ranks are one rank with two rounds, bit for bit, at both stages of ZeRO.
figures() { grep -o '"\(loss\|grad_norm\)":[^,}]*' "$1"/metrics.jsonl; }
if [ $gpu = emu ] && command -v mpirun >/dev/null; then
  for zero in 1 2; do
    "$GRISTMILL_SOURCE/tests/support/ranks" 2 pretrain -q -j1 --device emu --run-dir zero-$zero --zero $zero --deterministic-reduce --dtype bf16 $shape \
      --qk-norm $steps t.tok.zst
    for file in model.safetensors optimizer.safetensors; do cmp bf16-emu/checkpoints/step-10/$file zero-$zero/checkpoints/step-10/$file; done
    cmp <(figures bf16-emu) <(figures zero-$zero)
  done
fi
