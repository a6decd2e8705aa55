#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CLIENT_SUPPORT_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CLIENT_SUPPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "actioncluster/method_host.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

// What tests of the client library have in common. All for the test's own thread.
namespace actioncluster::cluster {

using client::AttachmentEvent;
using client::Client;
using client::ClientOptions;
using client::MethodHost;
using client::MethodHostOptions;

// A client with these options, which must be good; by default of one node, by its own port.
std::unique_ptr<Client> NewClient(ClientOptions options);
std::unique_ptr<Client> NewClient(const Node& node);

v1::CallRequest AnyCall(const std::string& method);

// What becomes of an attachment, to be awaited.
class Events {
 public:
  client::AttachmentListener Listener() const { return heard_.Callback(); }
  // The next event of this kind; passes over others.
  AttachmentEvent Await(AttachmentEvent::Kind kind) const {
    return heard_.NextThat([kind](const AttachmentEvent& event) { return event.kind == kind; });
  }
  // The id of the node that it is attached to next.
  std::string AwaitAttached() const { return Await(AttachmentEvent::Kind::kAttached).node_id; }
  size_t size() const { return heard_.size(); }

 private:
  fakes::Waiter<AttachmentEvent> heard_;
};

MethodHostOptions Telling(const Events& events);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CLIENT_SUPPORT_H_
