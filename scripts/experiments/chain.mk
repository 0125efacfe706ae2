# The whole chain as a Makefile: crawl files and labelled records in, an aligned and evaluated chat model out.
#
#   make -f scripts/experiments/chain.mk OUT=runs/first CRAWL="crawl/*.warc.gz" CHATS=chats.jsonl PAIRS=pairs.jsonl \
#        PROMPTS=prompts.jsonl HELD=held.jsonl
#   make -n …       shows the commands;    make … pretrain, sft, reward, dpo, ppo, report      stops earlier
#   make -j2 …      runs what does not depend on each other side by side
#
# The tools must be on PATH. Every variable below can be set on the command line. A run that was stopped goes on where it was: what is
# finished stands under its name, trainers resume from their last checkpoint.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:

OUT ?= runs/chain
CRAWL ?=
CHATS ?=
PAIRS ?=
PROMPTS ?=
HELD ?=
THREADS ?= $(shell nproc)

EXTRACT ?= --lang en
FILTER ?= --recipe fineweb
DEDUP ?= --method minhash
VOCAB ?= 16000
SHAPE ?= --layers 6 --dim 256 --heads 8 --kv-heads 4 --context 256
PRETRAIN ?= --lr 3e-3 --schedule wsd --batch-tokens 8192 --checkpoint-every 200
SFT ?= --lr 1e-3 --epochs 2
REWARD ?= --lr 5e-4 --epochs 1
DPO ?= --lr 1e-4 --beta 0.1
PPO ?= --lr 1e-4 --kl-coef 0.05
SAMPLE ?= --temperature 1 --max-tokens 64

# A trainer that was told to stop ends with 75 after a checkpoint: make stops, and the next make goes on. The stamp says that it ended.
j := --threads $(THREADS)

.PHONY: report pretrain sft reward dpo ppo
report: $(OUT)/ratings.json $(OUT)/winrate.json $(OUT)/perplexity.json
	@cat $^
pretrain sft reward dpo ppo: %: $(OUT)/%.done

$(OUT)/documents.jsonl.zst: $(wildcard $(CRAWL)) | $(OUT)
	$(if $^,,$(error set CRAWL to the crawl files))crawl-extract $j $(EXTRACT) --stats $(OUT)/extract.json $^ \
	  | filter $j $(FILTER) --stats $(OUT)/filter.json \
	  | dedup $j $(DEDUP) --stats $(OUT)/dedup.json -o $@

# One document in fifty is held out for the perplexity.
$(OUT)/train.jsonl $(OUT)/held-out.jsonl &: $(OUT)/documents.jsonl.zst
	shard-cat $< | awk '{ print > (NR % 50 == 1 ? "$(OUT)/held-out.jsonl" : "$(OUT)/train.jsonl") }'

$(OUT)/tokenizer.json: $(OUT)/train.jsonl
	tokenize-train $j --vocab-size $(VOCAB) $< -o $@

$(OUT)/%.tok.zst: $(OUT)/%.jsonl $(OUT)/tokenizer.json
	tokenize $j --tokenizer $(OUT)/tokenizer.json $< -o $@

$(OUT)/pretrain.done: $(OUT)/train.tok.zst $(OUT)/held-out.tok.zst
	pretrain $j --resume --run-dir $(OUT)/pretrain --tokenizer $(OUT)/tokenizer.json $(SHAPE) $(PRETRAIN) \
	  --val $(OUT)/held-out.tok.zst $<
	touch $@

$(OUT)/sft.done: $(OUT)/pretrain.done $(CHATS)
	sft $j --resume --model $(OUT)/pretrain --data $(CHATS) --run-dir $(OUT)/sft $(SFT)
	touch $@

$(OUT)/reward.done: $(OUT)/sft.done $(PAIRS)
	reward-train $j --resume --model $(OUT)/sft --data $(PAIRS) --run-dir $(OUT)/reward $(REWARD)
	touch $@

$(OUT)/dpo.done: $(OUT)/sft.done $(PAIRS)
	dpo $j --resume --model $(OUT)/sft --data $(PAIRS) --run-dir $(OUT)/dpo $(DPO)
	touch $@

$(OUT)/ppo.done: $(OUT)/sft.done $(OUT)/reward.done $(PROMPTS)
	ppo $j --resume --model $(OUT)/sft --reward-model $(OUT)/reward --data $(PROMPTS) --run-dir $(OUT)/ppo $(PPO)
	touch $@

$(OUT)/answers-%.jsonl: $(OUT)/%.done $(HELD)
	generate $j --model $(OUT)/$* $(SAMPLE) $(HELD) -o $@

$(OUT)/verdicts.jsonl: $(OUT)/answers-sft.jsonl $(OUT)/answers-dpo.jsonl $(OUT)/answers-ppo.jsonl $(OUT)/reward.done
	for pair in 'dpo sft' 'ppo sft' 'ppo dpo'; do set -- $$pair; \
	  arena-judge judge --reward-model $(OUT)/reward --name-a $$1 --name-b $$2 $(OUT)/answers-$$1.jsonl $(OUT)/answers-$$2.jsonl; done >$@

$(OUT)/ratings.json: $(OUT)/verdicts.jsonl
	arena-judge rate --prior 1 --anchor sft $< >$@

$(OUT)/winrate.json: $(OUT)/verdicts.jsonl
	arena-judge winrate --baseline sft --length-controlled $< >$@

$(OUT)/perplexity.json: $(OUT)/pretrain.done $(OUT)/held-out.jsonl
	eval-ppl $j --model $(OUT)/pretrain $(OUT)/held-out.jsonl >$@

$(OUT):
	mkdir -p $@
