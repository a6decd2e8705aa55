#include "tests/cluster/python_host.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::cluster {

std::unique_ptr<Program> StartPythonHost(const Node& node) {
  // Debian's interpreter, as its grpcio is no other's.
  auto host = std::make_unique<Program>(std::vector<std::string>{"/usr/bin/python3", PYTHON_HOST, node.address()},
                                        std::vector<std::string>{absl::StrCat("PYTHONPATH=", PYTHON_STUBS)});
  const bool registered = host->AwaitOut(absl::StrCat("registered ", node.id(), "\n"));
  CHECK(registered) << host->Out() << host->Err();
  return host;
}

}  // namespace actioncluster::cluster
