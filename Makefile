# The whole progression.  "make help" says what there is.

FOLDERS = 01-blocking-client 02-fork-server 03-nonblocking-poll \
	04-select-server 05-libevent-events 06-bufferevents
STAGE ?= 06

all: $(FOLDERS)

$(FOLDERS):
	@$(MAKE) --no-print-directory -C $@

help:
	@echo "make                   builds all stages"
	@echo "make run               runs the last one; make run STAGE=04 another, also PORT= ADDRESS="
	@echo "make tour              plays a short scene with every server, nobody typing"
	@echo "make test              runs the tests (they take port 40713)"
	@echo "make check STAGE=04    puts one server to the test, rule by rule;"
	@echo "                       SERVER=\"COMMAND\" any other, RULES=2,3 some rules only"
	@echo "make fuzz              random streams against all servers, until Ctrl-C"
	@echo "make torture           lets the servers' system calls fail, one after another; 10-20 minutes"
	@echo "make mutants           puts mistakes into the servers and demands that the rules find them"
	@echo "make timeline STAGE=04 draws who waits for whom, from what strace saw; also SERVER=COMMAND,"
	@echo "                       READER=COMMAND, FORMAT=text; without STAGE all of them, and the sheet"
	@echo "make exercises         the list of exercises, what is done and what is not"
	@echo "make exercise N=03     marks one; WATCH=1 again whenever it is saved"
	@echo "make compare           all servers under the same load, in a minute; STAGES=\"02 06\", SERVER="
	@echo "make bench             the long run, half an hour: what docs/efficiency.md is made of"
	@echo "make clean             removes what was built"
	@echo "In a stage's folder: make, make run, make clean."

# Ctrl-C stops what runs (130), and is no error.
run:
	@dir=$$(echo $(STAGE)-*/); \
	if [ ! -f "$$dir/Makefile" ]; then \
		echo "make run: no stage '$(STAGE)'; there are 01 to 06, as in STAGE=04" >&2; exit 2; \
	fi; \
	trap 'sleep 0.1' INT EXIT; \
	$(MAKE) --no-print-directory -C "$$dir" run || [ $$? -eq 130 ]

# What the command line says, as in STAGE=04, is in the environment of these.
tour:
	@tests/tour

test:
	@tests/run

check:
	@tests/check

fuzz:
	@tests/fuzz

torture:
	@tests/torture

mutants:
	@tests/mutants/run

timeline:
	@timeline/timeline

exercises:
	@exercises/mark

N = NN
exercise:
	@exercises/mark "$(N)"

compare:
	@bench/compare

bench:
	@bench/bench

clean:
	@for dir in $(FOLDERS) tests bench; do $(MAKE) --no-print-directory -C $$dir clean; done
	rm -f exercises/*/start exercises/*/solution

.PHONY: all help run tour test check fuzz torture mutants timeline exercises exercise compare bench clean $(FOLDERS)
