#include "tests/chaos/load_lists.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

using client::Cache;

constexpr size_t kLists = 2;
constexpr absl::Duration kWait = absl::Milliseconds(200);  // In line for an item.
constexpr absl::Duration kRepeats = absl::Seconds(50);     // A name is good for a minute.

}  // namespace

ListLoad::ListLoad(LoadOptions options) : Load("cache: lists", std::move(options), 2 * kLists), lists_(kLists) {
  for (size_t i = 0; i < kLists; ++i) {
    lists_[i].key = absl::StrCat("list-", i);
    lists_[i].pusher = NewClient(2 * i);
    lists_[i].popper = NewClient(2 * i + 1);
  }
}

void ListLoad::Start() {
  for (List& list : lists_) {
    AddClient([this, &list](size_t client) { Push(client, list); });
    AddClient([this, &list](size_t client) { Pop(client, list); });
  }
}

void ListLoad::Push(size_t client, List& list) {
  const absl::Time now = absl::Now();
  list.since = std::min(list.since, now);
  // Nobody knows of it, and nobody will: it may come or not.
  if (now > list.since + kRepeats) {
    ++list.pushing;
    list.since = now;
  }
  v1::PushRequest request;
  request.set_key(list.key);
  request.set_data(absl::StrCat(list.pushing));
  request.set_request_id(absl::StrCat(list.key, "-push-", list.pushing));
  const absl::Status status =
      meter_.Do(client, options().timeout, [&] { return Cache(*list.pusher).Push(request).status(); });
  if (!status.ok()) return;
  list.pushed.push_back(list.pushing++);
  list.since = absl::InfiniteFuture();
}

void ListLoad::Pop(size_t client, List& list) {
  bool empty = false;
  (void)meter_.Do(client, options().timeout + kWait, [&] { return PopOnce(list, &empty); });
}

absl::Status ListLoad::PopOnce(List& list, bool* empty) {
  v1::PopRequest request;
  request.set_key(list.key);
  request.set_request_id(absl::StrCat(list.key, "-pop-", list.popping));
  cluster::SetDuration(kWait, request.mutable_wait_for());
  const absl::StatusOr<v1::PopResponse> response = Cache(*list.popper).Pop(request);
  if (!response.ok()) return response.status();
  ++list.popping;
  *empty = response->content_case() == v1::PopResponse::CONTENT_NOT_SET;
  if (*empty) return absl::OkStatus();
  int64_t number = 0;
  CHECK(absl::SimpleAtoi(response->data(), &number)) << response->data();
  list.popped.push_back(number);
  return absl::OkStatus();
}

bool ListLoad::Settle(absl::Duration limit) {
  for (List& list : lists_) {
    bool empty = false;
    if (!cluster::Await([&] { return PopOnce(list, &empty).ok() && empty; }, limit)) return false;
  }
  return true;
}

void ListLoad::Judge(KindResult& result) {
  for (const List& list : lists_) {
    std::set<int64_t> popped;
    int64_t last = 0;
    for (const int64_t number : list.popped) {
      if (!popped.insert(number).second) {
        ++result.duplicated;
      } else if (number < last) {
        ++result.disordered;
      }
      last = std::max(last, number);
    }
    result.executed += static_cast<int64_t>(popped.size());
    result.lost += std::ranges::count_if(list.pushed, [&](int64_t number) { return !popped.contains(number); });
  }
}

}  // namespace actioncluster::chaos
