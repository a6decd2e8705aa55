#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_LINE_TABLE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_LINE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/time/time.h"
#include "backplane/cache/cache_store.h"

namespace actioncluster {

// Which callers of this node wait in which lines, and what has to be done for them: attempts, when a turn has come; and words to Redis, that the node still waits, that something
// should have changed by itself, and who is gone.
//
// Each caller ends exactly once: it got what it wanted (Tried), failed (Tried), ran out of time (Actions::timed_out), or was cancelled. Whatever is lost on its way (a turn, an answer, all of
// Redis's memory) costs a few seconds at most.
//
// Does no I/O and reads no clock: times are monotonic. Confined to one thread.
class LineTable {
 public:
  using Id = uint64_t;  // Also the caller's number in the line.

  // How often Redis hears that the node still waits.
  static constexpr absl::Duration kSayEvery = absl::Seconds(3);

  struct Actions {
    std::vector<Id> attempts;   // Make one for each; then call Tried.
    std::vector<Id> timed_out;  // These have ended.
    struct Word {
      CacheLineRef line;
      bool waiting;          // Others still wait.
      std::vector<Id> gone;  // In Redis's line perhaps, and not to be there.
    };
    std::vector<Word> words;  // Say it to Redis; then call Said.
  };

  // A caller that waits until `deadline`. It is to be attempted at once.
  Id Add(const CacheLineRef& line, absl::Time deadline);

  enum class Result {
    kGot,     // It has what it wanted.
    kFailed,  // An error: the caller hears it.
    kWaits,   // It is in the line.
  };
  // What an attempt came to. `changes_in`: of kWaits. False: nobody wants it any more (it was cancelled meanwhile): what it got is to be given back.
  bool Tried(Id id, Result result, std::optional<absl::Duration> changes_in, absl::Time now);

  // A turn has come, or may have come. Of those that we do not know (any more), Redis is told so.
  void TurnOf(const CacheLineRef& line, const std::vector<Id>& ids);

  // What a word to Redis came to. Not `heard`: Redis is away; it is said again.
  void Said(const CacheLineRef& line, bool heard, const CacheStore::Watch& watch, absl::Time now);

  // Redis, or the way to it, was away: nothing of what it knew is sure. All lines are asked for anew.
  void Doubt();

  // The caller is gone. True: an attempt is under way, and will be Tried. Does nothing if it has ended.
  bool Cancel(Id id);

  // What is to be done at `now`; `*next` becomes when to ask again. Ask after each of the above.
  Actions Take(absl::Time now, absl::Time* next);

  size_t size() const { return callers_.size(); }

 private:
  struct Caller {
    CacheLineRef line;
    absl::Time deadline;
    bool trying = false;     // An attempt is under way.
    bool again = true;       // Another one is due.
    bool cancelled = false;  // While an attempt is under way.
  };
  struct Line {
    std::set<Id> callers;  // That wait.
    std::vector<Id> gone;  // That Redis has to hear of.
    bool saying = false;   // A word is under way.
    absl::Time say_at = absl::InfiniteFuture();
  };
  using Lines = absl::node_hash_map<CacheLineRef, Line>;

  // An attempt for this caller is due.
  void TryAgain(Id id, Caller& caller);
  // It is out of the table. `tell`: Redis may still have it in its line.
  void Remove(Id id, bool tell);
  // A word is due no later than `when`.
  void SayBy(Lines::value_type& line, absl::Time when);
  void Forget(const Lines::value_type& line);

  Id last_ = 0;
  absl::flat_hash_map<Id, Caller> callers_;
  Lines lines_;
  std::set<Id> due_;                                            // Callers that are to be attempted.
  std::set<std::pair<absl::Time, Id>> deadlines_;               // Of those for which no attempt is under way.
  std::set<std::pair<absl::Time, const CacheLineRef*>> words_;  // Of lines for which no word is under way.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_LINE_TABLE_H_
