#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_STORE_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership_source.h"
#include "backplane/redis/client.h"

namespace actioncluster {

// The membership as Redis keeps it: its scripts as functions, their replies as values. One round trip each.
//
// Confined to the I/O thread; completions run on it, never inside the calls, and also when the store is gone. Errors
// are those of redis::Client, and INTERNAL for a reply that makes no sense. Records that do not parse are left out.
class MembershipStore : public MembershipSource {
 public:
  MembershipStore(redis::Client& commands, const Keys& keys, absl::Duration lease);

  // A boot that ended.
  struct Departed {
    internal::v1::NodeRecord node;  // Its last record; at least its boot.
    int64_t generation;             // After that.
  };

  struct JoinRequest {
    std::string fingerprint;  // Of the server token's key.
    std::string name_prefix;
    std::string preferred_name;       // Empty: none.
    std::string succeeds_boot;        // Known to be dead. Empty: none.
    internal::v1::NodeRecord record;  // With its boot; without id and started_at_us.
  };
  struct Joined {
    internal::v1::NodeRecord record;  // Complete.
    int64_t generation;
    std::vector<Departed> gone;  // In the order of their generations, all before `generation`.
  };
  // FAILED_PRECONDITION: the nodes that are there have another token. The same boot may join again if it got no answer.
  void Join(const JoinRequest& request, Completion<Joined> done);

  struct Renewal {
    int64_t generation;
    absl::Duration earliest_other;  // Until the first lease of another may be reclaimed; infinite: there is none.
    std::vector<Departed> gone;
  };
  // Nothing: the boot has no entry any more.
  void Renew(const std::string& boot, const internal::v1::NodeStats& stats, absl::Time deadline,
             Completion<std::optional<Renewal>> done);

  // Replaces the record, and gives the generation. Nothing: the boot has no entry any more.
  void Update(const internal::v1::NodeRecord& record, Completion<std::optional<int64_t>> done);

  // Nothing: the boot has no entry any more.
  void Leave(const std::string& boot, Completion<std::optional<Departed>> done);

  void ReadState(Completion<State> done) override;
  void Read(Completion<Contents> done) override;

 private:
  redis::Client& commands_;
  const std::vector<std::string> keys_;  // As the scripts want them.
  const std::string namespace_;
  const std::string lease_ms_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_STORE_H_
