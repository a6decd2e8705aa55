#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actioncluster {

// What the supervisor is to do next.
struct SupervisorAction {
  enum class Kind {
    kStartRedis,
    kStopRedis,    // SIGTERM
    kKillRedis,    // SIGKILL
    kStartWorker,  // slot
    kStopWorker,   // slot; SIGTERM
    kKillWorker,   // slot; SIGKILL
    kSay,          // text: a line for who started the program
    kLog,          // text: a line for the log
  };
  Kind kind;
  int slot = 0;
  std::string text = "";

  friend bool operator==(const SupervisorAction&, const SupervisorAction&) = default;
};

struct SupervisorOptions {
  int workers = 1;
  bool embedded_redis = true;
  std::string redis_log;   // Where the embedded redis-server says why it ended.
  std::string worker_log;  // Where workers say why they ended.
  std::string ready_text;  // What follows `3 nodes are ready`.
  absl::Duration drain_timeout = absl::Seconds(10);
  // Gives 0 … 1, so that pauses of many machines do not end in one moment.
  std::function<double()> random = [] { return 0.5; };
};

// The supervisor's decisions. Redis is started first and stopped last; workers are started one after the other, since names are claimed in
// order. Whatever fails before all are ready for the first time stops everything. From then on:
//
// - A worker or a redis-server that dies is started again at once, then after pauses that double. Five deaths of Redis within 30 s end
//   everything. A worker that died five times within 30 s without having served is tried every 30 s from then on; once all are so, everything ends.
// - A worker that ends by itself with status 0 was told to (`node.shutdown`): it stays away until the next restart. When none is left, everything ends.
// - A worker that was alive and says nothing for 30 s is asked for 5 s more, then killed.
// - A rolling restart replaces each worker that is older than the order, lowest slot first, the next when all serve. It waits while a worker or Redis
//   is away, and is given up when a successor dies five times as above: the old ones go on.
// - What is ordered last counts: a worker whose slot is wanted again while it drains is started when it has ended. Stopping is not taken back.
// - Stop drains the workers; the second one kills those that are left.
//
// Does no I/O and reads no clock: it is told what happened and when, and returns what to do, in this order. Times are monotonic. Not thread-safe.
class SupervisorCore {
 public:
  using Actions = std::vector<SupervisorAction>;

  static constexpr absl::Duration kStartLimit = absl::Seconds(30);  // For a worker to be ready, for Redis to answer.
  static constexpr absl::Duration kDrainGrace = absl::Seconds(5);   // On top of the drain timeout.
  static constexpr absl::Duration kRedisStopLimit = absl::Seconds(10);
  static constexpr int kManyDeaths = 5;
  static constexpr absl::Duration kManyDeathsWithin = absl::Seconds(30);
  static constexpr absl::Duration kMaxPause = absl::Seconds(10);
  static constexpr absl::Duration kLoopPause = absl::Seconds(30);  // Between the starts of one that never serves.
  static constexpr absl::Duration kSteady = absl::Seconds(30);     // Who served for so long has no past.
  static constexpr absl::Duration kSilence = absl::Seconds(30);
  static constexpr absl::Duration kLastWord = absl::Seconds(5);

  enum class State { kStarting, kServing, kRestarting, kSuspended, kStopping };
  enum class Process { kAbsent, kStarting, kReady, kStopping };
  struct Worker {
    Process process = Process::kAbsent;
    std::string name = {};       // Of its last node; empty until there was one.
    std::string addresses = {};  // Likewise.
    int restarts = 0;            // After deaths.
    bool retired = false;        // Told to go away by others: stays away.
    bool looping = false;        // Dies again and again before it serves.

   private:
    friend class SupervisorCore;
    std::string reason = {};                       // What it said before it ended.
    bool fresh = true;                             // Waits for its turn, not for a time.
    bool listened = false;                         // Says now and then that it is alive.
    bool suspect = false;                          // Has been silent for long.
    int generation = 0;                            // Of the order by which it was started.
    int deaths = 0;                                // In a row, without a steady time between.
    std::vector<absl::Time> false_starts = {};     // Deaths since it last served.
    absl::Time ready_at = absl::InfinitePast();    // Of the process that runs or ran last.
    absl::Time deadline = absl::InfiniteFuture();  // Of what it is doing; when absent: of its next start.
  };

  explicit SupervisorCore(SupervisorOptions options);

  Actions Start(absl::Time now);

  // Redis was asked whether it answers, or it ended (`how`, as of DescribeExit), or could not even be started.
  Actions RedisReady(absl::Time now);
  Actions RedisLoading(absl::Time now);
  Actions RedisEnded(absl::string_view how, absl::Time now);

  // What a worker said on its pipe, or how it ended; `clean`: with status 0.
  Actions WorkerReady(int slot, absl::string_view name, absl::string_view addresses, absl::Time now);
  Actions WorkerFailed(int slot, absl::string_view reason, absl::Time now);
  void WorkerAlive(int slot, absl::Time now);
  Actions WorkerEnded(int slot, absl::string_view how, bool clean, absl::Time now);

  // Orders. While everything stops, only the first two mean something.
  Actions Stop(absl::Time now);                                               // SIGTERM, SIGINT: drains.
  Actions StopNow(absl::Time now);                                            // SIGQUIT: kills the workers.
  Actions Restart(absl::Time now);                                            // SIGUSR2. Not while suspended.
  Actions Reload(int workers, absl::Duration drain_timeout, absl::Time now);  // SIGHUP: resumes, restarts.
  Actions Scale(int workers, absl::Time now);                                 // At least 1. Resumes.
  Actions Suspend(absl::Time now);                                            // SIGWINCH: no node at all.

  // To be called at next_deadline(), or later.
  Actions Tick(absl::Time now);
  absl::Time next_deadline() const;

  // Redis runs, and it is not known to answer: ask it.
  bool probing() const { return redis_ == Process::kStarting; }
  // Some worker was heard of within `limit`, or there is none that should be.
  bool AnyAnswers(absl::Duration limit, absl::Time now) const;

  State state() const;
  int wanted() const { return wanted_; }
  bool settled() const;   // All is as it was ordered.
  bool outdated() const;  // Some worker is older than the last order to restart.
  bool embedded_redis() const { return options_.embedded_redis; }
  Process redis() const { return redis_; }
  const std::vector<Worker>& workers() const { return workers_; }  // By slot - 1.

  // Nothing runs any more, and this is what came of it.
  bool done() const { return phase_ == Phase::kDone; }
  const absl::Status& result() const { return result_; }

 private:
  enum class Phase { kStartingRedis, kStartingWorkers, kServing, kStoppingWorkers, kStoppingRedis, kDone };

  bool starting() const { return phase_ == Phase::kStartingRedis || phase_ == Phase::kStartingWorkers; }
  bool stopping() const { return phase_ > Phase::kServing; }
  bool RedisServes() const { return !options_.embedded_redis || redis_ == Process::kReady; }
  bool Wanted(int slot) const { return !suspended_ && slot <= wanted_; }
  // Of those that are wanted.
  bool AllAre(const std::function<bool(const Worker&)>& predicate) const;
  bool AnyStarting() const;
  int Living() const;
  Worker& At(int slot) { return workers_[static_cast<size_t>(slot) - 1]; }
  const Worker& At(int slot) const { return workers_[static_cast<size_t>(slot) - 1]; }
  std::string Label(int slot) const;
  static std::string CountNodes(int count);  // `3 nodes`
  absl::Duration Pause(size_t recent_deaths) const;
  void Resume();

  void StartRedis(absl::Time now, Actions* actions);
  void RedisDied(absl::string_view how, absl::Time now, Actions* actions);
  void WorkerDied(int slot, absl::string_view how, absl::Time now, Actions* actions);
  // Brings what is towards what is wanted: after each event.
  void Reconcile(absl::Time now, Actions* actions);
  void Roll(absl::Time now, Actions* actions);
  void StartWorker(int slot, absl::Time now, Actions* actions);
  void StopWorker(int slot, absl::Time now, Actions* actions);
  void TickWorker(int slot, absl::Time now, Actions* actions);
  void StopAll(absl::Status result, absl::Time now, Actions* actions);
  void KillWorkers(Actions* actions) const;
  void StopRedisIfIdle(absl::Time now, Actions* actions);

  SupervisorOptions options_;
  Phase phase_ = Phase::kStartingRedis;
  absl::Status result_;
  absl::Time deadline_ = absl::InfiniteFuture();  // Of the stop.

  Process redis_ = Process::kAbsent;
  absl::Time redis_deadline_ =
      absl::InfiniteFuture();             // When it must answer; while it is absent: when it is started again.
  std::vector<absl::Time> redis_deaths_;  // Within the last kManyDeathsWithin.

  int wanted_;
  bool suspended_ = false;
  bool rolling_ = false;
  int generation_ = 0;           // Counts orders to restart.
  std::vector<Worker> workers_;  // Never fewer: those that are not wanted may still drain.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_CORE_H_
