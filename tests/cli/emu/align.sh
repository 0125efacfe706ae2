# Tuning on a GPU, emulated unless GRISTMILL_PARITY_DEVICE names another: the losses of the CPU in SFT, reward training, DPO and PPO.
gpu=${GRISTMILL_PARITY_DEVICE:-emu} close=$GRISTMILL_SOURCE/tests/cli/emu/close
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 96 64 8
for device in cpu $gpu; do
  sft -q -j2 --device $device --model base --data chats.jsonl --run-dir sft-$device --batch-size 4 --lr 2e-3
  reward-train -q -j2 --device $device --model base --data pairs.jsonl --run-dir reward-$device --batch-size 4
  dpo -q -j2 --device $device --model base --data pairs.jsonl --run-dir dpo-$device --batch-size 4
  ppo -q -j2 --device $device --dtype fp32 --model base --reward-model reward-cpu --data prompts.jsonl --run-dir ppo-$device \
    --iterations 5 --rollout-batch 4 --epochs 2 --mini-batches 1 --max-response-tokens 6
done
for run in sft reward dpo ppo; do "$close" $run-cpu $run-$gpu; done
