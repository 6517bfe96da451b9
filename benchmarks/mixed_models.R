# One model fitted by lme4 or glmmTMB: called by mixed_models.py for each of its cells.
# Rscript mixed_models.R ENGINE FAMILY FORMULA DATA.rds REPEATS; prints JSON.
given <- commandArgs(trailingOnly = TRUE)
suppressMessages({ library(lme4); library(jsonlite) })
engine <- given[1]; family <- given[2]; formula <- as.formula(given[3])
if (engine == "glmmTMB") suppressMessages(library(glmmTMB))
data <- readRDS(given[4])
tight <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, calc.derivs = TRUE,
                      optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
fitted <- function(d) suppressWarnings(suppressMessages(
  if (engine == "glmmTMB")
    glmmTMB(formula, d, family = if (family == "gaussian") gaussian() else binomial(),
            REML = family == "gaussian")
  else if (family == "gaussian") lmer(formula, d)
  else if (engine == "lme4-tight") glmer(formula, d, family = binomial, control = tight)
  else glmer(formula, d, family = binomial)))
# The standard errors of a glmer fit are computed with it, those of lmer when asked for.
whole <- function(d) { f <- fitted(d); vcov(f); f }
held <- function(key) {
  if (!file.exists("/proc/self/status")) return(NA)
  line <- grep(paste0("^", key), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
first <- sub(".*\\| *", "", all.vars(formula)[all.vars(formula) %in% names(data)[sapply(data, is.factor)]][1])
some <- droplevels(data[as.integer(data[[first]]) <= 100, ])
try(invisible(whole(some)), silent = TRUE)
invisible(gc())
if (file.exists("/proc/self/clear_refs")) cat("5", file = "/proc/self/clear_refs")
before <- held("VmRSS"); cpu <- wall <- Inf
for (i in seq_len(as.integer(given[5]))) {
  t <- system.time(f <- whole(data))
  cpu <- min(cpu, sum(t[1:2])); wall <- min(wall, t[3])
}
cat(toJSON(list(cpu = cpu, wall = wall, alone = NULL, peak_mb = held("VmHWM") - before,
                loglik = as.numeric(logLik(f))), digits = NA, auto_unbox = TRUE, null = "null"))
