"""Where the work runs. The only room that names an accelerator."""

from mammolibs.runtime.batch_size import check_batch
from mammolibs.runtime.choose import check_asked_device, get_runtime
from mammolibs.runtime.protocol import Runtime

__all__ = ["Runtime", "check_asked_device", "check_batch", "get_runtime"]
