// HdrHistogram for JavaScript reads a log of loadkit's: as hdrhistogram.py does it.
//
// NODE_PACKAGES says in which folder node_modules is.
"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const load = createRequire(path.resolve(process.env.NODE_PACKAGES, "package.json"));
const { HistogramLogReader, build } = load("hdr-histogram-js");

const PERCENTILES = [50, 90, 95, 99, 99.9];

const whole = new Map();
const log = new HistogramLogReader(fs.readFileSync(process.argv[2], "utf8"), 64, false);
for (let interval = log.nextIntervalHistogram(); interval; interval = log.nextIntervalHistogram()) {
  if (!whole.has(interval.tag)) {
    const values = build({ bitBucketSize: 64, numberOfSignificantValueDigits: 3, highestTrackableValue: 2 ** 43 });
    whole.set(interval.tag, { intervals: 0, values });
  }
  const read = whole.get(interval.tag);
  read.intervals += 1;
  read.values.add(interval);
}

const answer = {};
for (const [tag, { intervals, values }] of whole) {
  const percentiles = PERCENTILES.map((percentile) => values.getValueAtPercentile(percentile));
  answer[tag] = { intervals, count: values.totalCount, percentiles };
}
console.log(JSON.stringify(answer));
