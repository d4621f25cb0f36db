"""Knowledge distillation: a small student learns from a large teacher's scores, maps and mistakes.

Everything here needs torch and is imported from its own module. The one trainer is ``trainer.distill``; a
method is a frozen record of settings, such as ``response.Response(temperature=4, alpha=0.7)``.
"""
