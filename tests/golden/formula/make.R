# Writes the data and the reference values of tests/test_mixed_bases.py.
# Run in this folder: Rscript make.R
suppressMessages({ library(splines); library(lme4); library(sandwich); library(lmtest); library(jsonlite) })
options(digits = 17)
number <- function(x) unname(as.numeric(x))
save_json <- function(x, file)
  writeLines(toJSON(x, digits = NA, auto_unbox = TRUE, pretty = FALSE, null = "null"), file)
save_csv <- function(d, file) {
  for (name in names(d)) if (is.double(d[[name]])) d[[name]] <- sprintf("%.17g", d[[name]])
  write.csv(d, file, row.names = FALSE, quote = FALSE)
}

# ---- bases, of the rows they were made from and of others, some beyond the boundary --------
set.seed(20261123)
x <- round(c(rnorm(30, 50, 10), rexp(15, 0.1)), 3)
new <- c(-40, min(x), 33.3, 50, 61.25, max(x), 180)
base <- function(call, B) list(call = call, fit = unname(unclass(B)[, , drop = FALSE]),
                               new = unname(unclass(suppressWarnings(predict(B, new)))[, , drop = FALSE]))
plain <- function(m) { d <- dim(m); m <- as.numeric(m); dim(m) <- d; m }
bases <- list(
  base("poly(x, 1)", poly(x, 1)), base("poly(x, 2)", poly(x, 2)), base("poly(x, 5)", poly(x, 5)),
  base("poly(x, 3, raw=True)", poly(x, 3, raw = TRUE)),
  base("ns(x, 1)", ns(x, 1)), base("ns(x, df=2)", ns(x, df = 2)), base("ns(x, df=5)", ns(x, df = 5)),
  base("ns(x, knots=[45, 55.5])", ns(x, knots = c(45, 55.5))),
  base("ns(x, df=3, intercept=True)", ns(x, df = 3, intercept = TRUE)),
  base("ns(x, df=3, boundary=[0, 100])", ns(x, df = 3, Boundary.knots = c(0, 100))),
  base("ns(x, df=3, boundary=[30, 60])", ns(x, df = 3, Boundary.knots = c(30, 60))),
  base("bs(x)", bs(x)), base("bs(x, df=4)", bs(x, df = 4)), base("bs(x, df=6)", bs(x, df = 6)),
  base("bs(x, df=4, degree=2)", bs(x, df = 4, degree = 2)),
  base("bs(x, df=3, degree=1)", bs(x, df = 3, degree = 1)),
  base("bs(x, knots=[40, 50, 70])", bs(x, knots = c(40, 50, 70))),
  base("bs(x, df=5, intercept=True)", bs(x, df = 5, intercept = TRUE)),
  list(call = "scale(x)", fit = plain(scale(x)), new = matrix((new - mean(x)) / sd(x))),
  list(call = "center(x)", fit = matrix(x - mean(x)), new = matrix(new - mean(x)))
)
bases <- lapply(bases, function(b) list(call = b$call, fit = plain(b$fit), new = plain(b$new)))
save_json(list(x = x, new = new, bases = bases), "bases.json")

# ---- fits with them ------------------------------------------------------------------------
data(sleepstudy); data(cbpp)
cbpp$obs <- seq_len(nrow(cbpp))
cbpp$share <- cbpp$incidence / cbpp$size
cbpp$failures <- cbpp$size - cbpp$incidence
save_csv(cbpp, "cbpp.csv")
# Soft scores, images of very different numbers of answers, k missing here and there.
soft <- do.call(rbind, lapply(seq_len(70), function(i) {
  c <- round(rnorm(1), 4); b <- rnorm(1)
  n <- sample(c(1, 2, 3, 12), 1)
  k <- sample(c(1, 2, 4, 8), n, replace = TRUE, prob = c(4, 2, 1, 1))
  eta <- 0.2 + 0.3 * log2(k) - 0.4 * c + b
  data.frame(image = sprintf("i%02d", i), k = k, c = c,
             score = c(0, 0.3, 0.6, 0.9, 1)[1 + rbinom(n, 4, plogis(eta))])
}))
soft <- soft[sample(nrow(soft)), ]
save_csv(soft, "soft.csv")
answers <- read.csv("../mixed/answers.csv")
nested <- read.csv("../mixed/nested.csv")
tables <- list(sleepstudy = sleepstudy, cbpp = cbpp, answers = answers, nested = nested, soft = soft)

tight_l <- lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
tight_g <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13, check.conv.singular = "ignore",
                        optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
# Rows to predict: the table's first, its number moved half its range outward.
moved <- function(data, column) {
  d <- data[c(1:3, 1:3), ]
  d[[column]] <- c(d[[column]][1:3], d[[column]][4:6] + diff(range(data[[column]])) / 2)
  d
}
laid_out <- function(f, data, column) {
  components <- if (inherits(f, "merMod")) as.data.frame(VarCorr(f)) else NULL
  random <- components[components$grp != "Residual", ]
  b <- if (inherits(f, "merMod")) fixef(f) else coef(f)
  rows <- moved(data, column)
  eta <- suppressWarnings(if (inherits(f, "merMod")) predict(f, rows, re.form = NA, type = "link")
                          else predict(f, rows))
  list(names = I(names(b)), params = I(number(b)), cov = plain(as.matrix(vcov(f))),
       random = lapply(seq_len(NROW(random)), function(i) as.list(random[i, ])),
       loglik = number(logLik(f)), column = column, moved = number(rows[[column]]),
       predicted = number(eta))
}
linear <- function(data, column, formula, ours = formula) {
  f <- lmer(as.formula(formula), tables[[data]], control = tight_l)
  g <- update(f, start = getME(f, "theta") * 0.5 + 0.1)
  if (logLik(g) > logLik(f)) f <- g
  c(list(data = data, formula = ours, family = "gaussian"), laid_out(f, tables[[data]], column))
}
logistic <- function(data, column, formula, ours = formula, ...) {
  f <- if (grepl("|", formula, fixed = TRUE))
    glmer(as.formula(formula), tables[[data]], family = binomial, control = tight_g)
  else glm(as.formula(formula), binomial, tables[[data]], control = glm.control(1e-14, 100))
  c(list(data = data, formula = ours, family = "binomial"), list(...), laid_out(f, tables[[data]], column))
}
fits <- list(
  linear("sleepstudy", "Days", "Reaction ~ poly(Days, 2) + (1 + Days | Subject)"),
  linear("sleepstudy", "Days", "Reaction ~ ns(Days, df = 3) + (1 + ns(Days, 2) | Subject)"),
  linear("sleepstudy", "Days", "Reaction ~ poly(Days, 2) + (poly(Days, 2) || Subject)"),
  linear("nested", "z", "ms ~ bs(z, df = 4) * x + (1 | image)"),
  linear("nested", "z", "ms ~ 0 + kind + scale(z) + (0 + x | image) + (1 | image)"),
  linear("nested", "z", "ms ~ 0 + factor(k) + z + (x - 1 | image)", "ms ~ 0 + C(k) + z + (x - 1 | image)"),
  linear("nested", "z", "ms ~ x * z + (kind * x || question) + (1 | image)"),
  logistic("answers", "c", "y ~ ns(c, knots = c(-1, 0.5)) * k", "y ~ ns(c, knots=[-1, 0.5]) * k"),
  logistic("answers", "c", "y ~ poly(c, 3, raw = TRUE) + kind"),
  logistic("answers", "c", "y ~ ns(c, 2) + kind + (1 | image)"),
  logistic("cbpp", "size", "cbind(incidence, size - incidence) ~ period + (1 | herd) + (1 | obs)",
           "share ~ C(period) + (1 | herd) + (1 | obs)", weights = "size"),
  logistic("cbpp", "size", "cbind(incidence, failures) ~ period + (1 | obs)",
           "cbind(incidence, failures) ~ C(period) + (1 | obs)"),
  logistic("cbpp", "size", "cbind(incidence, size - incidence) ~ factor(period)",
           "cbind(incidence, size - incidence) ~ C(period)")
)
save_json(fits, "fits.json")

# ---- soft scores ---------------------------------------------------------------------------
quasi <- lapply(c("score ~ factor(k) * c", "score ~ ns(c, 3) + log(k)"), function(formula) {
  f <- glm(as.formula(formula), quasibinomial, soft, control = glm.control(1e-14, 100))
  V <- vcovCL(f, ~image, type = "HC1", cadjust = TRUE)
  list(formula = gsub("factor(", "C(", formula, fixed = TRUE), names = names(coef(f)),
       params = number(coef(f)), cov_cluster = plain(V), deviance = deviance(f),
       cov_hc1 = plain(vcovCL(f, seq_len(nrow(soft)), type = "HC1")),
       p_cluster = number(coeftest(f, V, df = length(unique(soft$image)) - 1)[, 4]))
})
save_json(quasi, "quasi.json")
# ---- which columns categories get ----------------------------------------------------------
# The fitted values of a curve tell the column space, whatever its basis.
codings <- c("a*b", "a*b - 1", "0 + a*b", "a*b*x", "a*b*x - 1", "0 + a*x", "0 + a + x", "0 + a:x", "a:x", "a/x",
             "a/b", "a:b", "0 + a:b", "x:a + x", "a*b - a", "a*x - x", "a*b*x - a:b:x", "0 + x:a + z:a",
             "x*z*a", "0 + x + a", "0 + x*a", "a:b:x", "a + b:x", "0 + b:x + a", "a*b + x:a", "(a + b + x)**2",
             "(a + b + x)**2 - 1", "a:b + x", "x + a:b:x", "0 + x + a:x", "z:x:a", "a + a:x - 1")
coded <- nested; coded$a <- coded$kind; coded$b <- coded$question
save_json(lapply(codings, function(formula) {
  X <- model.matrix(as.formula(gsub("**", "^", paste("~", formula), fixed = TRUE)), coded)
  q <- qr(X); Q <- qr.Q(q)[, seq_len(q$rank)]
  list(formula = formula, rank = q$rank, fitted = number(Q %*% crossprod(Q, sin(seq_len(nrow(X)))))[1:40])
}), "codings.json")

version <- function(name) paste(name, as.character(packageVersion(name)))
cat("# Reference values\n\nMade by `Rscript make.R` with ", R.version.string, ", ",
    paste(sapply(c("splines", "lme4", "sandwich", "lmtest", "jsonlite"), version), collapse = ", "),
    ".\n\n`cbpp.csv` (Lesnoff et al. 2004, Veterinary Research 35) is as lme4 tabulates it; `soft.csv` is ",
    "simulated by the script. `bases.json` holds R's bases of 45 numbers and of 7 others; `fits.json` holds ",
    "fits with them, and their predictions of rows beyond the boundary.\n", sep = "", file = "README.md")
