# A pre-trained model as others take it: the directory is a model to start from and to generate with, and can be had from a finished run.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--tokenizer $small --layers 2 --dim 16 --heads 2 --context 32 --batch-tokens 64 --tokens 128"
pretrain -q --run-dir run $options --export out --max-shard-size 20k t.tok.zst
pretrain -q --run-dir run $options --resume --export whole t.tok.zst
[ "$(ls out/model-*-of-*.safetensors | wc -l)" -gt 1 ]
[ -e out/model.safetensors.index.json ]
[ ! -e whole/model.safetensors.index.json ]
cmp whole/model.safetensors run/checkpoints/step-2/model.safetensors
cmp whole/config.json out/config.json
for model in out whole; do
  generate -q --model $model --prompt "The old mill" --max-tokens 8 --seed 3 >$model.txt
  pretrain -q --run-dir from-$model --init $model --tokens 64 --batch-tokens 64 t.tok.zst
done
cmp out.txt whole.txt
cmp from-out/checkpoints/step-1/model.safetensors from-whole/checkpoints/step-1/model.safetensors
