"""Makes `qdrant_client.grpc` importable without running the package's own __init__, which loads every REST model (some
seconds, and packages that are not installed here)."""

import importlib.util
import sys
import types

package = types.ModuleType("qdrant_client")
package.__path__ = importlib.util.find_spec("qdrant_client").submodule_search_locations
sys.modules["qdrant_client"] = package
