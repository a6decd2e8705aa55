#include "backplane/membership/offer.h"

#include <algorithm>
#include <utility>

namespace actioncluster {

void Offer::SetMethods(std::vector<std::string> methods, Done done) {
  std::sort(methods.begin(), methods.end());
  methods.erase(std::unique(methods.begin(), methods.end()), methods.end());
  methods_ = std::move(methods);
  waiting_.push_back({++revision_, std::move(done)});
}

void Offer::SetDraining(bool draining, Done done) {
  draining_ = draining;
  waiting_.push_back({++revision_, std::move(done)});
}

void Offer::Fill(internal::v1::NodeRecord* record) const {
  record->mutable_methods()->Assign(methods_.begin(), methods_.end());
  record->set_draining(draining_);
}

void Offer::Written(uint64_t revision) { written_ = std::max(written_, revision); }

std::vector<Offer::Done> Offer::TakeWaiting(uint64_t revision) {
  std::vector<Done> taken;
  while (taken.size() < waiting_.size() && waiting_[taken.size()].revision <= revision) {
    taken.push_back(std::move(waiting_[taken.size()].done));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(taken.size()));
  return taken;
}

}  // namespace actioncluster
