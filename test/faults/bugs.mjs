// Loaded into a process (`node --import`) to give it the bugs that nobody may have: one signal each.
process.on(
  "SIGUSR2",
  () => void Promise.reject(Object.assign(new Error("lost"), { command: { args: ["a payload"] } })),
);
process.on("SIGHUP", () => {
  throw new Error("thrown");
});
