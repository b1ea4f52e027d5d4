"""Parts of compiled functions: what only compiled code calls has no machine code of its own.

Numba optimises each function with all that it calls, and makes machine code of it, before it is put inside of what
calls it, where both are done again. For what is called by compiled code alone this is for nothing: the parts of
`recsys.kernels.greedy` would take a quarter of its compilation. What is left out here is Numba's own affair: where a
later version names it otherwise, all is compiled as before.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

for _name in ("_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals"):
    if not hasattr(JITCodeLibrary, _name):
        raise ImportError(f"Numba's JITCodeLibrary has no {_name}")


class PartLibrary(JITCodeLibrary):
    """Code that is put inside of what calls it as it stands, and optimised there."""

    @property
    def codegen(self) -> Any:
        """Itself: without machine code there is no place for what `set_env` would note."""
        return self

    def set_env(self, env_name: str, env: Any) -> None:
        """Note nothing."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True


class PartCompiler(Compiler):
    """Numba's compiler, for parts."""

    def define_pipelines(self) -> Any:
        """Give the code its library, and return Numba's steps."""
        state = self.state
        codegen, name = state.targetctx.codegen(), state.func_id.func_qualname
        state.library = PartLibrary(codegen, name)  # type: ignore[no-untyped-call]
        return super().define_pipelines()  # type: ignore[no-untyped-call]
