# The whole progression.  "make help" says what there is.

STAGES = 01-blocking-client 02-fork-server 03-nonblocking-poll \
	04-select-server 05-libevent-events 06-bufferevents
STAGE = 06

all: $(STAGES)

$(STAGES):
	@$(MAKE) --no-print-directory -C $@

help:
	@echo "make                   builds all stages"
	@echo "make run               runs the last one; make run STAGE=04 another, also PORT= ADDRESS="
	@echo "make tour              plays a short scene with every server, nobody typing"
	@echo "make test              runs the tests (takes port 40713)"
	@echo "make clean             removes what was built"
	@echo "In a stage's folder: make, make run, make clean."

# make itself stays silent when Ctrl-C stops what it runs.
run:
	@dir=$$(echo $(STAGE)*/); \
	if [ ! -f "$$dir/Makefile" ]; then \
		echo "make run: no stage '$(STAGE)'; there are 01 to 06, as in STAGE=04" >&2; exit 2; \
	fi; \
	trap '' INT; \
	$(MAKE) --no-print-directory -C "$$dir" run

clean:
	@for dir in $(STAGES); do $(MAKE) --no-print-directory -C $$dir clean; done

.PHONY: all help run clean $(STAGES)
