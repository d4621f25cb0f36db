"""How Voilà shows the dashboards; `make demo` reads this file."""

from traitlets.config import get_config

c = get_config()

# A viewer takes a kernel that has already run the notebook. One waits for each of the eight dashboards: a kernel
# takes about 250 MB, server and pool together 2 GB. Where memory is short, name dashboards that may start cold in
# `c.VoilaKernelManager.preheat_denylist`. A link must not carry `?template=` or `?theme=`: it would bypass the pool
# and start a cold kernel.
c.VoilaConfiguration.preheat_kernel = True
c.VoilaConfiguration.default_pool_size = 1
c.VoilaConfiguration.template = "lab"

# The backend board compiles and measures as soon as its notebook runs. Beside a viewer, a waiting kernel would do so
# as well, and disturb what the viewer's measures.
c.VoilaKernelManager.preheat_denylist = ["backend_board"]

# Without it a slider's results lie in the server for some 15 ms.
c.Voila.kernel_websocket_connection_class = "course_lib.widgets.prompt_connection.PromptConnection"

# Viewers see results, neither the code nor the insides of an error.
c.VoilaConfiguration.strip_sources = True
c.VoilaConfiguration.show_tracebacks = False

# A page that is closed asks for the end of its kernel, without the token that the server's check against forged
# requests wants: every closed tab would leave a kernel behind. Without the check, only who knows a kernel's random
# name can end it. A viewer whose machine goes to sleep or loses its network says nothing: its kernel ends after
# ten minutes without work.
c.MappingKernelManager.cull_idle_timeout = 600
c.MappingKernelManager.cull_interval = 60
c.Voila.tornado_settings = {
    "disable_check_xsrf": True,
    # The template asks a server on the internet for icons before it shows anything. A page must look and load alike
    # with the network off, so the browser takes styles and fonts from here only.
    "headers": {
        "Content-Security-Policy": "frame-ancestors 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:"
    },
}
