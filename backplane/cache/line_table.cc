#include "backplane/cache/line_table.h"

#include <algorithm>

#include "glog/logging.h"

namespace actioncluster {
namespace {

// Redis expires by the millisecond: a little later all has changed.
constexpr absl::Duration kMargin = absl::Milliseconds(1);

}  // namespace

LineTable::Id LineTable::Add(const CacheLineRef& line, absl::Time deadline) {
  const Id id = ++last_;
  callers_.emplace(id, Caller{.line = line, .deadline = deadline});
  lines_[line].callers.insert(id);
  deadlines_.emplace(deadline, id);
  due_.insert(id);
  return id;
}

bool LineTable::Tried(Id id, Result result, std::optional<absl::Duration> changes_in, absl::Time now) {
  const auto found = callers_.find(id);
  CHECK(found != callers_.end() && found->second.trying) << "no attempt is under way";
  Caller& caller = found->second;
  caller.trying = false;
  const bool wanted = !caller.cancelled;
  if (result != Result::kWaits || !wanted) {
    Remove(id, /*tell=*/result != Result::kGot);
    return wanted;
  }
  deadlines_.emplace(caller.deadline, id);
  if (caller.again) due_.insert(id);
  const absl::Duration changes = changes_in.has_value() ? *changes_in + kMargin : kSayEvery;
  SayBy(*lines_.find(caller.line), now + std::min(kSayEvery, changes));
  return true;
}

void LineTable::TurnOf(const CacheLineRef& line, const std::vector<Id>& ids) {
  for (const Id id : ids) {
    const auto found = callers_.find(id);
    if (found != callers_.end() && found->second.line == line) {
      TryAgain(id, found->second);
      continue;
    }
    Lines::value_type& at = *lines_.try_emplace(line).first;
    at.second.gone.push_back(id);
    SayBy(at, absl::InfinitePast());
  }
}

void LineTable::Said(const CacheLineRef& line, bool heard, const CacheStore::Watch& watch, absl::Time now) {
  const auto found = lines_.find(line);
  if (found == lines_.end()) return;
  Line& at = found->second;
  at.saying = false;
  words_.emplace(at.say_at, &found->first);
  if (heard && !watch.known) {
    for (const Id id : at.callers) TryAgain(id, callers_.at(id));
  }
  const bool changes = heard && watch.changes_in.has_value();
  if (!at.callers.empty()) {
    SayBy(*found, now + std::min(kSayEvery, changes ? *watch.changes_in + kMargin : kSayEvery));
  }
  if (heard) TurnOf(line, watch.turns);
  Forget(*lines_.find(line));
}

void LineTable::Doubt() {
  for (auto& [id, caller] : callers_) TryAgain(id, caller);
}

bool LineTable::Cancel(Id id) {
  const auto found = callers_.find(id);
  if (found == callers_.end()) return false;
  if (found->second.trying) {
    found->second.cancelled = true;
    return true;
  }
  Remove(id, /*tell=*/true);
  return false;
}

LineTable::Actions LineTable::Take(absl::Time now, absl::Time* next) {
  Actions actions;
  // Who is to be attempted is, though its time be over: nobody ends without one.
  actions.attempts.reserve(due_.size());
  for (const Id id : due_) {
    Caller& caller = callers_.at(id);
    caller.trying = true;
    caller.again = false;
    deadlines_.erase({caller.deadline, id});
    actions.attempts.push_back(id);
  }
  due_.clear();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Id id = deadlines_.begin()->second;
    actions.timed_out.push_back(id);
    Remove(id, /*tell=*/true);
  }
  while (!words_.empty() && words_.begin()->first <= now) {
    const CacheLineRef& ref = *words_.begin()->second;
    words_.erase(words_.begin());
    Line& line = lines_.at(ref);
    line.saying = true;
    line.say_at = absl::InfiniteFuture();
    actions.words.push_back({.line = ref, .waiting = !line.callers.empty(), .gone = std::move(line.gone)});
    line.gone.clear();
  }
  *next = absl::InfiniteFuture();
  if (!deadlines_.empty()) *next = std::min(*next, deadlines_.begin()->first);
  if (!words_.empty()) *next = std::min(*next, words_.begin()->first);
  return actions;
}

void LineTable::TryAgain(Id id, Caller& caller) {
  caller.again = true;
  if (!caller.trying) due_.insert(id);
}

void LineTable::Remove(Id id, bool tell) {
  const auto found = callers_.find(id);
  deadlines_.erase({found->second.deadline, id});
  due_.erase(id);
  Lines::value_type& line = *lines_.find(found->second.line);
  callers_.erase(found);
  line.second.callers.erase(id);
  if (tell) {
    line.second.gone.push_back(id);
    SayBy(line, absl::InfinitePast());
  }
  Forget(line);
}

void LineTable::SayBy(Lines::value_type& line, absl::Time when) {
  Line& at = line.second;
  if (when >= at.say_at) return;
  if (!at.saying) {
    words_.erase({at.say_at, &line.first});
    words_.emplace(when, &line.first);
  }
  at.say_at = when;
}

void LineTable::Forget(const Lines::value_type& line) {
  const Line& at = line.second;
  if (!at.callers.empty() || !at.gone.empty() || at.saying) return;
  words_.erase({at.say_at, &line.first});
  lines_.erase(lines_.find(line.first));
}

}  // namespace actioncluster
