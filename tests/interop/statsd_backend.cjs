// A backend of the StatsD daemon: a line of JSON for each flush, on standard output.

exports.init = (startup, config, events) => {
  events.on("flush", (time, { counters, gauges }) => console.log(JSON.stringify({ counters, gauges })));
  return true;
};
