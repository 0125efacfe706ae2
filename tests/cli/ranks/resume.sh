# A checkpoint of any number of ranks goes on with any other, to the same bytes.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 128 --micro-batch-tokens 32 --checkpoint-every 3 --keep-checkpoints 0 --tokens 1152"
pretrain -q -j1 --run-dir whole $options t.tok.zst
back_to() {  # STEP: as if the run had ended there
  for folder in parts/checkpoints/step-*; do [ "${folder##*-}" -le "$1" ] || rm -r "$folder"; done
}
"$ranks" 2 pretrain -q -j1 --run-dir parts $options t.tok.zst
back_to 3
pretrain -q -j1 --run-dir parts $options --resume t.tok.zst
back_to 6
"$ranks" 4 pretrain -q -j1 --run-dir parts $options --resume t.tok.zst
for step in 3 6 9; do
  for file in model.safetensors optimizer.safetensors trainer.json; do
    cmp whole/checkpoints/step-$step/$file parts/checkpoints/step-$step/$file
  done
done
