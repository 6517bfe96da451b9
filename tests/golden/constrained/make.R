# Constrained likelihood-ratio test of b1 b5 = b2 b4 by lme4: Rscript make.R (about two minutes).
# The null is profiled over the angle phi: in the columns u = (cos phi + sin phi c) x and
# v = (cos phi + sin phi c) x^2 it is an ordinary mixed logit.
suppressMessages(library(lme4))
set.seed(20261123)
n_images <- 60
ks <- c(1, 2, 3, 4, 8, 16)
d <- expand.grid(k = ks, question = 1:3, image = 1:n_images)
c <- rnorm(n_images)
c <- round((c - mean(c)) / sd(c), 6)
d$x <- round(log2(d$k), 12)
d$c <- c[d$image]
b0 <- rnorm(n_images, 0, 0.9)
b1 <- rnorm(n_images, 0, 0.5)
q <- interaction(d$image, d$question, drop = TRUE)
d0 <- rnorm(nlevels(q), 0, 1)
eta <- 1 - 0.5 * d$c - 0.35 * (d$x - 2 - 0.35 * d$c)^2 + b0[d$image] +
  b1[d$image] * (d$x - 2) + d0[as.integer(q)]
d$score <- as.integer(runif(nrow(d)) < plogis(eta))
write.csv(d[c("image", "question", "k", "x", "c", "score")], "answers.csv", row.names = FALSE)

control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10,
                        optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
random <- "(1 + x | image) + (1 | image:question)"
fitted <- function(fixed, data) {
  glmer(as.formula(paste("score ~", fixed, "+", random)), data, binomial, control = control)
}
free <- fitted("(x + I(x^2)) * c", d)
without <- fitted("x + I(x^2) + c", d)
null <- function(phi) {
  s <- cos(phi) + sin(phi) * d$c
  fitted("u + v + c", transform(d, u = s * x, v = s * x^2))
}
height <- function(phi) as.numeric(logLik(null(phi)))
grid <- seq(-pi / 2, pi / 2, length.out = 25)[-25]
heights <- sapply(grid, height)
best <- grid[which.max(heights)]
step <- grid[2] - grid[1]
found <- optimize(height, c(best - step, best + step), maximum = TRUE, tol = 1e-6)

number <- function(x) paste0("[", paste(format(x, digits = 12, trim = TRUE), collapse = ", "), "]")
one <- function(x) format(x, digits = 12)
b <- fixef(free)[c("x", "I(x^2)", "x:c", "I(x^2):c")]
writeLines(c(
  "{",
  paste0('  "lme4": "', packageVersion("lme4"), '",'),
  paste0('  "random": "', random, '",'),
  paste0('  "loglik": ', one(as.numeric(logLik(free))), ","),
  paste0('  "b": ', number(unname(b)), ","),
  paste0('  "loglik_without": ', one(as.numeric(logLik(without))), ","),
  paste0('  "angle": ', one(found$maximum), ","),
  paste0('  "loglik_null": ', one(found$objective), ","),
  paste0('  "angles": ', number(grid), ","),
  paste0('  "logliks": ', number(heights)),
  "}"
), "answers.json")
