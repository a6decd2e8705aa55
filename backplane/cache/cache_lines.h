#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_LINES_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_LINES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/cache/cache_store.h"
#include "backplane/cache/line_table.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// What a caller waits for in a line: how to try for it, and what to do with what comes of it. Called on the I/O thread.
class LineWait {
 public:
  virtual ~LineWait() = default;

  struct Outcome {
    LineTable::Result result;
    std::optional<absl::Duration> changes_in;  // Of kWaits.
  };
  // One attempt, as `waiter`. `tried` runs once, not inside the call.
  virtual void Try(const CacheWaiter& waiter, absl::AnyInvocable<void(Outcome) &&> tried) = 0;
  // The last attempt came to kGot or kFailed: the caller hears it.
  virtual void Finish() = 0;
  // The time is over: the caller hears that.
  virtual void TimedOut() = 0;
  // The last attempt came to kGot, and the caller was gone: what it got goes back.
  virtual void GiveBack() = 0;
};

// The lines in which callers of this node wait, and the news of turns between nodes: a line's turn is passed on by whichever node makes room in it, and heard over the bus by the one
// whose caller is first.
//
// Confined to the I/O thread.
class CacheLines {
 public:
  using WaitId = LineTable::Id;

  // The references outlive this. Before Bus::Begin.
  CacheLines(Loop& loop, Bus& bus, Membership& membership, const Keys& keys);

  // Once, before anything else. The store gives its turns to Pass.
  void SetStore(CacheStore* store) { store_ = store; }

  // Tries until it got what it wants, it failed, the deadline (monotonic) is over, or it is cancelled.
  WaitId Wait(const CacheLineRef& line, absl::Time deadline, std::unique_ptr<LineWait> wait);
  // Does nothing if it has ended.
  void Cancel(WaitId id);

  // Tells the nodes of those whose turns have come.
  void Pass(const CacheLineRef& line, const std::vector<CacheWaiter>& waiters);

  size_t waiting() const { return waits_.size(); }

 private:
  void Pump();
  void TimedOut(WaitId id);
  void Try(WaitId id);
  void Tried(WaitId id, LineWait& wait, LineWait::Outcome outcome);
  void Say(const LineTable::Actions::Word& word);
  // Everything that Redis knew of those who wait here may be gone.
  void Doubt();

  Loop& loop_;
  Bus& bus_;
  const Membership& membership_;
  const Keys& keys_;
  CacheStore* store_ = nullptr;
  LineTable table_;
  absl::flat_hash_map<WaitId, std::shared_ptr<LineWait>> waits_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_LINES_H_
