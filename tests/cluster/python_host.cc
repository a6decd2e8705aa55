#include "tests/cluster/python_host.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::cluster {

std::unique_ptr<Program> StartPythonHost(const Node& node, const std::vector<const Node*>& others) {
  // Debian's interpreter, as its grpcio is no other's.
  std::vector<std::string> command = {"/usr/bin/python3", PYTHON_HOST, node.address()};
  for (const Node* other : others) command.push_back(other->address());
  auto host = std::make_unique<Program>(command, std::vector<std::string>{absl::StrCat("PYTHONPATH=", PYTHON_STUBS)});
  const bool registered = host->AwaitOut(absl::StrCat("registered ", node.id(), "\n"));
  CHECK(registered) << host->Out() << host->Err();
  return host;
}

}  // namespace actioncluster::cluster
