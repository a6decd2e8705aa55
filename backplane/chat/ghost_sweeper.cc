#include "backplane/chat/ghost_sweeper.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

using internal::v1::RoomChange;
using internal::v1::RoomMemberRecord;

constexpr absl::Duration kPeriod = absl::Seconds(10);
// So that not all nodes look at once when one is gone.
constexpr absl::Duration kSoon = absl::Milliseconds(200);
constexpr int kConnections = 100;
constexpr int kRooms = 100;
constexpr size_t kMembers = 100;

}  // namespace

struct GhostSweeper::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& loop, Membership& membership_in, Presence& presence_in, RoomStore& rooms_in, absl::Duration window)
      : membership(membership_in),
        presence(presence_in),
        rooms(rooms_in),
        resume_window(window),
        random(std::random_device{}()),
        period_timer(loop, [this] { OnPeriod(); }),
        soon_timer(loop, [this] { Start(); }),
        end_timer(loop, [this] { OnEnd(); }) {}

  void OnPeriod() {
    period_timer.Set(MonotonicNow() + kPeriod * std::uniform_real_distribution<double>(0.8, 1.2)(random));
    Start();
  }
  void OnNode(const NodeEvent& event) {
    if (event.kind != NodeEvent::Kind::kLost && event.kind != NodeEvent::Kind::kLeft) return;
    soon_timer.Set(MonotonicNow() + kSoon * std::uniform_real_distribution<double>(0, 1)(random));
  }
  void Start();
  void SweepNow(absl::AnyInvocable<void() &&> done) {
    next_waiting.push_back(std::move(done));
    Start();
  }

  // A sweep's steps, in their order. Each goes on with the next; End ends the sweep, and what failed is tried with the next one.
  void FindDead(std::vector<std::string> holding);
  void SweepRooms(const std::string& after);
  void SweepNextRoom();
  void ReadMembers(const std::string& room, uint64_t cursor);
  void TakeOut(const std::string& room, uint64_t next, std::vector<RoomMemberRecord> members);
  void ReleaseNextBoot();
  void End(const absl::Status& status);
  void OnEnd();

  // The stores' callbacks may come when there is no sweeper any more.
  template <class F>
  auto WhileAlive(F f) {
    return [weak = weak_from_this(), f = std::move(f)](auto&&... arguments) mutable {
      if (const std::shared_ptr<Impl> self = weak.lock()) f(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  // Goes on with a result; ends the sweep with an error.
  template <class T, class F>
  auto OrEnd(F f) {
    return WhileAlive([this, f = std::move(f)](absl::StatusOr<T> result) mutable {
      if (!result.ok()) return End(result.status());
      f(*std::move(result));
    });
  }

  Membership& membership;
  Presence& presence;
  RoomStore& rooms;
  const absl::Duration resume_window;
  std::mt19937 random;

  bool sweeping = false;
  bool again = false;                                       // Somebody wanted one that begins later.
  std::vector<absl::AnyInvocable<void() &&>> waiting;       // For the end of this sweep,
  std::vector<absl::AnyInvocable<void() &&>> next_waiting;  // and of the next.
  std::set<std::string> dead;                               // Boots that are gone, and have left something behind.
  // Boots that have members in rooms, and were unknown when these were read. Seen before the next sweep's look at the directory, they are in it then, or gone.
  std::set<std::string> suspects;
  std::vector<RoomView> page;  // Rooms that are still to be looked at; the last is next.
  std::string page_end;        // Where the next page begins, if there are more.
  bool more = false;
  int64_t taken_out = 0;
  Timer period_timer;
  Timer soon_timer;
  Timer end_timer;
};

void GhostSweeper::Impl::Start() {
  if (sweeping) {
    again = true;
    return;
  }
  sweeping = true;
  again = false;
  taken_out = 0;
  waiting = std::exchange(next_waiting, {});
  // In this order: who is found holding something had joined before.
  presence.HoldingBoots(OrEnd<std::vector<std::string>>([this](std::vector<std::string> holding) {
    membership.Refresh(WhileAlive([this, holding = std::move(holding)](const absl::Status& refreshed) mutable {
      if (!refreshed.ok()) return End(refreshed);
      if (const absl::Status verdict = membership.Verdict(); !verdict.ok()) return End(verdict);
      FindDead(std::move(holding));
    }));
  }));
}

void GhostSweeper::Impl::FindDead(std::vector<std::string> holding) {
  dead = std::exchange(suspects, {});
  dead.insert(holding.begin(), holding.end());
  std::erase_if(dead, [this](const std::string& boot) {
    return boot == membership.self().boot || membership.directory().FindBoot(boot) != nullptr;
  });
  if (dead.empty()) return End(absl::OkStatus());
  SweepRooms("");
}

void GhostSweeper::Impl::SweepRooms(const std::string& after) {
  rooms.List("", after, kRooms, OrEnd<RoomStore::RoomPage>([this](RoomStore::RoomPage read) {
               page = std::move(read.rooms);
               page_end = std::move(read.last);
               more = read.more;
               SweepNextRoom();
             }));
}

void GhostSweeper::Impl::SweepNextRoom() {
  while (!page.empty()) {
    const RoomView room = std::move(page.back());
    page.pop_back();
    bool haunted = false;
    for (const auto& [boot, count] : room.members_by_boot) {
      if (dead.contains(boot)) {
        haunted = true;
      } else if (membership.directory().FindBoot(boot) == nullptr) {
        suspects.insert(boot);
      }
    }
    if (haunted) return ReadMembers(room.room, 0);
  }
  if (more) return SweepRooms(page_end);
  // Only now: while the boot holds something it is found again, and so is what could not be taken out.
  ReleaseNextBoot();
}

void GhostSweeper::Impl::ReadMembers(const std::string& room, uint64_t cursor) {
  rooms.Members(room, cursor, OrEnd<RoomStore::MemberPage>([this, room](RoomStore::MemberPage read) {
                  std::erase_if(read.members,
                                [this](const RoomMemberRecord& member) { return !dead.contains(member.boot_id()); });
                  TakeOut(room, read.next, std::move(read.members));
                }));
}

void GhostSweeper::Impl::TakeOut(const std::string& room, uint64_t next, std::vector<RoomMemberRecord> members) {
  if (members.empty()) return next == 0 ? SweepNextRoom() : ReadMembers(room, next);
  // Some of one boot in each step.
  const std::string boot = members.back().boot_id();
  std::vector<RoomMemberRecord> some;
  std::vector<RoomMemberRecord> rest;
  for (RoomMemberRecord& member : members) {
    (member.boot_id() == boot && some.size() < kMembers ? some : rest).push_back(std::move(member));
  }
  rooms.Leave(room, boot, some, RoomChange::KIND_LOST,
              OrEnd<int64_t>([this, room, next, rest = std::move(rest)](int64_t left) mutable {
                taken_out += left;
                TakeOut(room, next, std::move(rest));
              }));
}

void GhostSweeper::Impl::ReleaseNextBoot() {
  if (dead.empty()) return End(absl::OkStatus());
  const std::string boot = *dead.begin();
  presence.ReleaseLeftBehind(boot, resume_window, kConnections, OrEnd<int64_t>([this, boot](int64_t left) {
                               if (left == 0) {
                                 LOG(INFO) << "left behind by a lost node and freed boot=" << boot;
                                 dead.erase(boot);
                               }
                               ReleaseNextBoot();
                             }));
}

void GhostSweeper::Impl::End(const absl::Status& status) {
  if (!status.ok()) {
    LOG_EVERY_T(INFO, 60) << "cannot look for what lost nodes have left behind now: " << status;
    // What was found in vain is looked for again.
    suspects.merge(dead);
  }
  if (taken_out > 0) LOG(INFO) << "members of lost nodes taken out of rooms members=" << taken_out;
  dead.clear();
  page.clear();
  // Not within a callback of a store.
  end_timer.Set(MonotonicNow());
}

void GhostSweeper::Impl::OnEnd() {
  sweeping = false;
  for (auto& done : std::exchange(waiting, {})) std::move(done)();
  if (again) Start();
}

GhostSweeper::GhostSweeper(Loop& loop, Membership& membership, Presence& presence, RoomStore& rooms,
                           absl::Duration resume_window)
    : impl_(std::make_shared<Impl>(loop, membership, presence, rooms, resume_window)) {
  membership.OnNode([weak = std::weak_ptr<Impl>(impl_)](const NodeEvent& event) {
    if (const std::shared_ptr<Impl> impl = weak.lock()) impl->OnNode(event);
  });
  impl_->period_timer.Set(MonotonicNow() + kPeriod * std::uniform_real_distribution<double>(0, 1)(impl_->random));
}

GhostSweeper::~GhostSweeper() = default;

void GhostSweeper::SweepNow(absl::AnyInvocable<void() &&> done) { impl_->SweepNow(std::move(done)); }

}  // namespace actioncluster
