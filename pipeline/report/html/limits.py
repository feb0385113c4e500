"""How much of a corpus the page shows, so that its size does not grow with it."""

MAX_VALUES = 30_000_000  # signals of documents that are looked at: 240 MB as float64
MAX_SOURCES = 40  # with a column of their own; the others are added up
SHOWN_SOURCES = 5  # whose columns are shown when the page is opened
MAX_HISTOGRAMS = 120  # of about 5 kB each
MAX_HISTOGRAMS_OF_FILTER = 16
NUM_BINS = 40
MAX_SAMPLES = 800  # texts of all filters together
SAMPLES_A_SIDE = 3  # of a threshold, if there are not too many thresholds
SAMPLE_CHARS = 300
LOOKED_CHARS = 2_000  # of a text that is looked through for PII, before it is cut
MAX_CLUSTERS = 8
MAX_DIFFERENCE_CHARS = 600  # of one side of a difference: a word may be as long as a text
NAME_CHARS = 200  # of a path or a rule
MAX_MEMBERS = 2  # removed documents of a cluster that are compared with the survivor
COMPARED_CHARS = 20_000  # of each of the two
MAX_CONTEXTS = 8  # of one kind of PII
MAX_LANGUAGES = 20
MAX_ROWS = 60  # of a table that could be as long as the corpus has files
MAX_ITEMS = 12  # work items that took longest
MANIFEST_CHARS = 60_000
MAX_LINES = 3  # thresholds that one histogram draws: a fitted one has another in each source
