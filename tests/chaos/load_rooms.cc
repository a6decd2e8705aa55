#include "tests/chaos/load_rooms.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/json.h"
#include "actioncluster/rooms.h"
#include "actioncluster/status.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

using client::AttachmentEvent;
using client::Connection;
using client::ConnectionOptions;

constexpr size_t kRooms = 2;
constexpr size_t kMembersOfEach = 3;
constexpr size_t kMembers = kRooms * kMembersOfEach;
constexpr uint32_t kHistory = 2000;  // Longer than anybody is away.

std::string RoomOf(size_t number) { return absl::StrCat("room-", number % kRooms); }
std::string IdOf(size_t number) { return absl::StrCat("member-", number); }

}  // namespace

RoomLoad::RoomLoad(LoadOptions options)
    : Load("rooms", std::move(options), kMembers), members_(kMembers), states_(kMembers) {
  for (size_t number = 0; number < kMembers; ++number) {
    members_[number].room = RoomOf(number);
    members_[number].client = NewClient(number);
  }
}

void RoomLoad::Start() {
  for (size_t room = 0; room < kRooms; ++room) {
    v1::RoomServiceCreateRequest request;
    request.set_room(RoomOf(room));
    request.mutable_history()->set_messages(kHistory);
    const auto created = client::Rooms(*members_[0].client).Create(request);
    CHECK(created.ok()) << created.status();
  }
  for (size_t number = 0; number < kMembers; ++number) Enter(number);
  for (size_t number = 0; number < kMembers; ++number) AddClient([this](size_t i) { Say(i); });
}

void RoomLoad::Enter(size_t number) {
  Member& member = members_[number];
  ConnectionOptions options;
  options.id = IdOf(number);
  options.on_message = [this, number](const v1::OpenResponse::Message& message) { Hear(number, message); };
  options.on_missed = [this, number](const client::MissedMessages& missed) {
    Report(number, absl::StrCat("is told that it has missed ", missed.count, " messages, and some of ",
                                absl::StrJoin(missed.rooms, ", ")));
  };
  options.on_left = [this, number](const v1::OpenResponse::Left& left) {
    Report(number, absl::StrCat("is out of ", left.room(), ": ", left.reason()));
    absl::MutexLock lock(&mutex_);
    states_[number].outside = true;
  };
  options.on_event = [this, number](const AttachmentEvent& event) {
    if (event.kind != AttachmentEvent::Kind::kEnded || event.status.ok()) return;
    Report(number, absl::StrCat("has ended for good: ", event.status.ToString()));
    absl::MutexLock lock(&mutex_);
    states_[number].ended = true;
  };
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Connect(*member.client, std::move(options), cluster::kPatience);
  CHECK(connection.ok()) << connection.status();
  member.connection = *std::move(connection);
  const absl::Status joined = member.connection->Join(member.room);
  CHECK(joined.ok()) << joined;
}

void RoomLoad::Hear(size_t number, const v1::OpenResponse::Message& message) {
  int64_t said = 0;
  const bool is_number = absl::SimpleAtoi(message.data(), &said);
  absl::MutexLock lock(&mutex_);
  State& state = states_[number];
  if (!is_number || message.room() != members_[number].room) {
    state.problems.push_back(absl::StrCat(IdOf(number), " has heard what nobody said: ", message.ShortDebugString()));
    return;
  }
  Heard& heard = state.heard[message.from()];
  if (!heard.numbers.insert(said).second) {
    ++state.duplicated;
  } else if (said < heard.last || message.offset() <= state.offset) {
    ++state.disordered;
  }
  heard.last = std::max(heard.last, said);
  state.offset = std::max(state.offset, message.offset());
}

void RoomLoad::Report(size_t number, const std::string& problem) {
  absl::MutexLock lock(&mutex_);
  states_[number].problems.push_back(absl::StrCat(IdOf(number), " ", problem));
}

void RoomLoad::Say(size_t number) {
  Member& member = members_[number];
  bool outside = false;
  {
    absl::MutexLock lock(&mutex_);
    outside = std::exchange(states_[number].outside, false);
  }
  if (outside) {
    const absl::Status joined = member.connection->Join(member.room);
    if (!joined.ok() && client::ReasonOf(joined) != v1::ERROR_REASON_ALREADY_MEMBER) {
      absl::MutexLock lock(&mutex_);
      states_[number].outside = true;
    }
  }
  // Each number is said once: whether one that was not answered was said nobody knows.
  const int64_t saying = ++member.said;
  (void)meter_.Do(number, options().timeout, [&] {
    const absl::Status said = member.connection->SayBytes(member.room, absl::StrCat(saying));
    if (said.ok()) {
      absl::MutexLock lock(&mutex_);
      states_[number].acknowledged.push_back(saying);
    }
    return said;
  });
}

int64_t RoomLoad::Missing() const {
  absl::MutexLock lock(&mutex_);
  int64_t missing = 0;
  for (size_t sender = 0; sender < kMembers; ++sender) {
    for (size_t member = sender % kRooms; member < kMembers; member += kRooms) {
      const auto heard = states_[member].heard.find(IdOf(sender));
      missing += std::ranges::count_if(states_[sender].acknowledged, [&](int64_t number) {
        return heard == states_[member].heard.end() || !heard->second.numbers.contains(number);
      });
    }
  }
  return missing;
}

// What is still missing then is lost: that is for Judge to say.
bool RoomLoad::Settle(absl::Duration limit) {
  cluster::Await([this] { return Missing() == 0; }, limit);
  return true;
}

void RoomLoad::Judge(KindResult& result) {
  result.lost = Missing();
  absl::MutexLock lock(&mutex_);
  for (const State& state : states_) {
    for (const auto& [sender, heard] : state.heard) result.executed += static_cast<int64_t>(heard.numbers.size());
    result.duplicated += state.duplicated;
    result.disordered += state.disordered;
    result.stuck += state.ended ? 1 : 0;
    result.problems.insert(result.problems.end(), state.problems.begin(), state.problems.end());
  }
}

}  // namespace actioncluster::chaos
