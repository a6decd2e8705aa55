#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_HANDSHAKE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_HANDSHAKE_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "backplane/redis/command.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/reply.h"

namespace actioncluster::redis {

// What is said first on every connection: AUTH, ROLE (of a Redis that sentinels named: it must be a master), SELECT, CLIENT SETNAME, PING (a Redis that is loading refuses it), and
// SCRIPT LOAD of each script that is not empty. All leaves at once; each reply is checked. Does no I/O; confined to the
// I/O thread.
class Handshake {
 public:
  Handshake(const LinkOptions& options, const std::vector<Script>& scripts);

  // Begins anew: appends all of it to `out`, and returns how many replies will come.
  size_t Start(std::string* out);

  // Appends only the loading of the scripts: Redis has forgotten them.
  size_t LoadScripts(std::string* out);

  // The next of the replies. BACKPLANE_UNAVAILABLE: refused, in a message without the password.
  absl::Status Accept(ReplyView reply);

  // All replies have come.
  bool done() const { return awaited_.empty(); }

 private:
  struct Step {
    std::string name;
    std::string wire;
    std::string reply;          // The only good reply; of an array, its first element.
    bool has_password = false;  // Redis may quote the arguments in an error.
  };

  size_t Send(const std::vector<Step>& steps, std::string* out);

  std::vector<Step> greeting_;
  std::vector<Step> loading_;
  std::deque<const Step*> awaited_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_HANDSHAKE_H_
